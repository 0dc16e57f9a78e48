/*
 * lazy-x86_64.S - see lazy.h: the first call of a function of a library that is not loaded yet.
 *
 * The function's number was pushed; above it is the caller's return address. All registers that
 * arguments may be in are kept (System V ABI, 3.2.3), then the function takes over.
 */
        .text
        .globl  lazy_first_call
        .hidden lazy_first_call
        .type   lazy_first_call, @function
lazy_first_call:
        push    %rdi
        push    %rsi
        push    %rdx
        push    %rcx
        push    %r8
        push    %r9
        push    %rax
        sub     $136, %rsp              /* eight vectors, and 8 bytes: the stack is aligned now */
        movups  %xmm0, (%rsp)
        movups  %xmm1, 16(%rsp)
        movups  %xmm2, 32(%rsp)
        movups  %xmm3, 48(%rsp)
        movups  %xmm4, 64(%rsp)
        movups  %xmm5, 80(%rsp)
        movups  %xmm6, 96(%rsp)
        movups  %xmm7, 112(%rsp)
        mov     192(%rsp), %rdi
        call    lazy_resolve
        mov     %rax, %r11
        movups  (%rsp), %xmm0
        movups  16(%rsp), %xmm1
        movups  32(%rsp), %xmm2
        movups  48(%rsp), %xmm3
        movups  64(%rsp), %xmm4
        movups  80(%rsp), %xmm5
        movups  96(%rsp), %xmm6
        movups  112(%rsp), %xmm7
        add     $136, %rsp
        pop     %rax
        pop     %r9
        pop     %r8
        pop     %rcx
        pop     %rdx
        pop     %rsi
        pop     %rdi
        add     $8, %rsp
        jmp     *%r11
        .section .note.GNU-stack,"",@progbits

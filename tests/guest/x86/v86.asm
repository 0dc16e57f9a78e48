; v86.asm - virtual-8086 mode: entry by IRET, IOPL-sensitive instructions, interrupts to ring 0 with
; the nine-word frame, segments, I/O bitmap, and CR4.VME's redirection.
%include "check.inc"
%include "pm.inc"

%define VM_FLAG 0x20000

; Go to V86 mode at %1 with IOPL %2
%macro TO_V86 2
    push dword 0x4444                           ; GS
    push dword 0x3333                           ; FS
    push dword 0x2222                           ; DS
    push dword 0x1000                           ; ES
    push dword 0x5000                           ; SS
    push dword 0xff0                            ; ESP
    push dword VM_FLAG | 2 | (%2) << 12 | 0x200
    push dword 0
    push dword %1
    iret
%endmacro

; V86 iopl, vector, error: runs up to V86_LAST, whose instruction faults so
%macro V86 3
%push v86
%define %$vector %2
%define %$error %3
    mov dword [resume], %$after
    mov [resume_esp], esp
    mov dword [got_vector], -1
    TO_V86 %$code, %1
    bits 16
%$code:
%endmacro

%macro V86_LAST 1+
%$insn:
    %1
%$next:
    ud2
    bits 32
%$after:
    CHECK dword [got_vector], %$vector
    CHECK dword [got_error], %$error
%if %$vector < 32 && %$vector != 3 && %$vector != 4
    CHECK dword [got_eip], %$insn
%else
    CHECK dword [got_eip], %$next
%endif
    CHECK_SET dword [got_eflags], VM_FLAG
%pop
%endmacro

    org 0x8000
    ENTER_PM

; -- the frame
    V86 0, 6, 0
    mov bx, ds
    mov cx, es
    V86_LAST ud2
    CHECK bx, 0x2222
    CHECK cx, 0x1000
    CHECK word [got_cs], 0
    CHECK dword [got_esp], 0xff0
    CHECK word [got_ss], 0x5000
    mov esi, [got_frame]
    CHECK dword [esi + 8], 0x1000               ; ES DS FS GS
    CHECK dword [esi + 12], 0x2222
    CHECK dword [esi + 16], 0x3333
    CHECK dword [esi + 20], 0x4444
    CHECK esi, STACKT - 24
    mov ax, gs
    CHECK ax, 0

; -- IOPL 0: the sensitive instructions
    V86 0, 13, 0
    V86_LAST cli
    V86 0, 13, 0
    V86_LAST sti
    V86 0, 13, 0
    V86_LAST pushf
    V86 0, 13, 0
    V86_LAST popf
    V86 0, 13, 0
    V86_LAST iret
    V86 0, 13, 0
    V86_LAST int 0x30
    V86 0, 13, 0
    V86_LAST hlt
    V86 0, 13, 0
    V86_LAST lgdt [0]
    V86 0, 6, 0
    V86_LAST lar ax, ax
    V86 0, 13, 3 * 8 + 2
    V86_LAST int3                               ; not sensitive, but the gate's DPL counts

; -- IOPL 3: they work
    mov byte [idt + 0x30 * 8 + 5], 0xee
    V86 3, 0x30, 0
    cli
    pushf
    pop ax
    sti
    V86_LAST int 0x30
    CHECK_CLEAR eax, 0x200
    CHECK_SET dword [got_eflags], 0x200

; -- segments are paragraphs with 64 KiB
    V86 0, 13, 0
    mov ax, 0x800
    mov ds, ax
    mov ecx, [0]                                ; the first bytes of this program
    xor bx, bx
    V86_LAST mov ax, [bx - 1]
    CHECK ecx, [0x8000]

; -- the I/O bitmap decides even with IOPL 3
    mov word [tss + 0x66], 0x60
    mov dword [tss + 0x60], 0xfffffffe
    V86 3, 13, 0
    in al, 0
    V86_LAST in al, 1

; -- IRET to V86 mode needs ring 0, from ring 3 VM is ignored
    mov dword [resume], .ring3_done
    mov [resume_esp], esp
    TO_RING3 .ring3, 3
.ring3:
    push dword VM_FLAG | 0x3002
    push dword CODE3
    push dword .ring3_back
    iret
.ring3_back:
    ud2
.ring3_done:
    CHECK dword [got_cs], CODE3
    CHECK dword [got_eip], .ring3_back
    CHECK_CLEAR dword [got_eflags], VM_FLAG

; -- VME: VIF stands for IF; INT 0x60 stays in V86 mode when its redirection bit is clear
    mov eax, cr4
    or al, 1
    mov cr4, eax
    mov edi, bitmap
    mov ecx, 32
    mov al, 0xff
    rep stosb
    mov byte [bitmap + 0x60 / 8], 0xfe
    mov word [tss2 + 0x66], bitmap + 32 - tss2
    mov dword [tss2 + 4], STACKT
    mov dword [tss2 + 8], DATA0
    SET_BASE TSS2, tss2
    mov ax, TSS2
    ltr ax
    mov word [0x60 * 4], redirected
    mov word [0x60 * 4 + 2], 0
    V86 0, 13, 0
    sti                                         ; sets VIF
    pushf
    pop ax
    int 0x60
.after60:
    pushf
    pop dx
    V86_LAST int 0x31
    CHECK_SET eax, 0x200                        ; PUSHF shows VIF as IF
    CHECK_SET edx, 0x200                        ; IRET restored it
    CHECK_CLEAR ebx, 0x200                      ; the handler ran with it clear
    CHECK_SET dword [got_eflags], 0x80000       ; VIF
    CHECK cx, 0x60
    THE_END

    bits 16
redirected:
    pushf
    pop bx
    mov cx, 0x60
    iret
    bits 32

    align 16
tss2: times 0x68 db 0
bitmap: times 32 db 0
    times 8 db 0xff
tss2_end:
    PM_DATA
    GDT_START
TSS2 equ $ - gdt
    DESC 0, 0xff, 0x89, 0
gdt_end:

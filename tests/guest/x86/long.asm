; long.asm - long mode: entry, 64-bit interrupts with IST and stack switch, SYSCALL/SYSRET,
; SYSENTER/SYSEXIT, SWAPGS, canonical addresses, 4-level faults, large pages, NX, UMIP, call gate,
; compatibility mode.
%include "check.inc"

CODE32  equ 0x08
DATA0   equ 0x10
CODE64  equ 0x18
; SYSRET's order: 32-bit code, data, 64-bit code
CODE3C  equ 0x2b
DATA3   equ 0x33
CODE3   equ 0x3b
TSS     equ 0x40
CODE0S  equ 0x50                                ; SYSCALL's pair
GATE    equ 0x60
STACK0  equ 0x70000
STACKT  equ 0x50000
STACKI  equ 0x48000
STACK3  equ 0x60000
PML4    equ 0x100000
PDPT    equ 0x101000
PD      equ 0x102000
PT      equ 0x103000

%macro FAULTS 3+
    mov qword [resume], %%after
    mov [resume_rsp], rsp
    mov qword [got_vector], -1
%%insn:
    %3
    FAIL
%%after:
    CHECK qword [got_vector], %1
    CHECK qword [got_error], %2
    CHECK qword [got_rip], %%insn
%endmacro

%macro PAGE_FAULT 3+
    FAULTS 14, %1, %3
    mov rax, %2
    CHECK [got_cr2], rax
%endmacro

%macro TO_RING3 1
    push DATA3
    push STACK3
    push 0x202
    push CODE3
    push %1
    iretq
%endmacro

%macro RING3 2
%push ring3
%define %$vector %1
%define %$error %2
    mov qword [resume], %$after
    mov [resume_rsp], rsp
    mov qword [got_vector], -1
    TO_RING3 %$user
%$user:
%endmacro

%macro RING3_LAST 1+
%$insn:
    %1
%$next:
    ud2
%$after:
    CHECK qword [got_vector], %$vector
    CHECK qword [got_error], %$error
%if %$vector >= 32
    CHECK qword [got_rip], %$next
%else
    CHECK qword [got_rip], %$insn
%endif
    CHECK qword [got_cs], CODE3
%pop
%endmacro

    org 0x8000
    bits 16
    cli
    xor ax, ax
    mov ds, ax
    lgdt [gdt_ptr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp CODE32:pm
    bits 32
pm:
    mov ax, DATA0
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, STACK0
    mov edi, PML4
    xor eax, eax
    mov ecx, 0x1000
    rep stosd
    mov dword [PML4], PDPT + 7
    mov dword [PDPT], PD + 7
    mov dword [PD], PT + 7
    mov dword [PD + 8], 0x200087
    mov edi, PT
    mov eax, 7
.fill:
    mov [edi], eax
    add edi, 8
    add eax, 0x1000
    cmp edi, PT + 0x1000
    jb .fill
    mov eax, PML4
    mov cr3, eax
    mov eax, 0x6a0                              ; PAE PGE OSFXSR OSXMMEXCPT
    mov cr4, eax
    mov ecx, 0xc0000080
    mov eax, 0x901                              ; NXE LME SCE
    xor edx, edx
    wrmsr
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax
    rdmsr
    CHECK eax, 0xd01                            ; LMA
    jmp CODE64:start64

    bits 64
start64:
    mov rsp, STACK0
    mov rax, tss
    mov [gdt + TSS + 2], ax
    shr rax, 16
    mov [gdt + TSS + 4], al
    mov [gdt + TSS + 7], ah
    mov ax, TSS
    ltr ax
    CHECK byte [gdt + TSS + 5], 0x8b
    mov rdi, idt
    mov rbx, stubs
    mov ecx, 64
.gate:
    mov rax, rbx
    mov [rdi], ax
    mov word [rdi + 2], CODE64
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], rax
    add rdi, 16
    add rbx, 16
    loop .gate
    lidt [idt_ptr]

; -- same level: the frame has SS:RSP always, the stack is aligned
    mov rsp, STACK0 - 4
    FAULTS 6, 0, ud2
    CHECK qword [got_rsp], STACK0 - 4
    CHECK qword [got_ss], DATA0
    CHECK qword [got_frame], STACK0 - 16 - 40
    CHECK_SET dword [got_rflags], 0x10000
    mov rsp, STACK0
    mov rax, 0x1000
    FAULTS 13, 0x1000, mov ds, ax
    CHECK qword [got_frame], STACK0 - 40

; -- IST
    mov byte [idt + 6 * 16 + 4], 1
    FAULTS 6, 0, ud2
    CHECK qword [got_frame], STACKI - 40
    mov byte [idt + 6 * 16 + 4], 0

; -- canonical addresses
    mov rbx, 0x0000800000000000
    FAULTS 13, 0, mov al, [rbx]
    FAULTS 13, 0, mov [rbx + 8], rax
    mov qword [resume], .jmp_bad
    mov [resume_rsp], rsp
    jmp rbx
.jmp_bad:
    CHECK qword [got_vector], 13
    CHECK qword [got_error], 0

; -- 4-level faults
    mov qword [PT + 0x80 * 8], 0                ; 0x80000
    mov rbx, 0x80000
    invlpg [rbx]
    PAGE_FAULT 0, 0x80010, mov al, [rbx + 0x10]
    PAGE_FAULT 2, 0x80010, mov [rbx + 0x10], al
    mov rbx, 0x8000000000
    PAGE_FAULT 0, 0x8000000123, mov al, [rbx + 0x123]
    mov rbx, 0xffff800000000000
    PAGE_FAULT 0, 0xffff800000000000, mov al, [rbx]
    mov qword [PT + 0x80 * 8], 0x80005          ; user, read-only
    mov rbx, 0x80000
    mov al, [rbx]
    PAGE_FAULT 3, 0x80000, mov [rbx], al        ; WP
    mov rax, 0x0008000000081007                 ; bit 51 is beyond MAXPHYADDR
    mov [PT + 0x81 * 8], rax
    mov rbx, 0x81000
    invlpg [rbx]
    PAGE_FAULT 9, 0x81000, mov al, [rbx]
    mov rax, 0x8000000000082007
    mov [PT + 0x82 * 8], rax
    mov rbx, 0x82000
    invlpg [rbx]
    mov byte [rbx], 0xc3
    mov qword [resume], .nx
    mov [resume_rsp], rsp
    call rbx
.nx:
    CHECK qword [got_vector], 14
    CHECK qword [got_error], 0x11
    CHECK qword [got_rip], 0x82000
    CHECK_SET qword [PML4], 0x20
    CHECK_SET qword [PDPT], 0x20
    CHECK_SET qword [PD], 0x20
    CHECK_CLEAR qword [PD + 8], 0x60
    mov rbx, 0x200000
    mov al, [rbx]
    CHECK qword [PD + 8], 0x2000a7
    mov [rbx], al
    CHECK qword [PD + 8], 0x2000e7
    mov qword [PDPT + 8], 0x87                  ; 1 GiB page
    mov rbx, 0x40000000
    mov qword [resume], 77
    CHECK qword [rbx + resume], 77

; -- ring 3: the stack comes from the TSS, SS becomes null
    RING3 6, 0
    RING3_LAST ud2
    CHECK qword [got_frame], STACKT - 40
    CHECK qword [got_ss], DATA3
    CHECK qword [got_rsp], STACK3
    CHECK qword [handler_ss], 0
    RING3 13, 0
    RING3_LAST hlt
    RING3 13, 0
    RING3_LAST mov rax, cr3
    RING3 13, 0
    RING3_LAST wrmsr
    RING3 13, 0x30 * 8 + 2
    RING3_LAST int 0x30
    mov byte [idt + 0x30 * 16 + 5], 0xee
    RING3 0x30, 0
    RING3_LAST int 0x30
    mov qword [PT + 0x83 * 8], 0x83003
    mov rbx, 0x83000
    RING3 14, 5
    RING3_LAST mov al, [rbx]
    RING3 14, 7
    RING3_LAST lock inc byte [rbx]

; -- UMIP
    RING3 0x30, 0
    sgdt [rsp - 16]
    smsw ax
    RING3_LAST int 0x30
    mov rax, cr4
    or eax, 0x800
    mov cr4, rax
    RING3 13, 0
    RING3_LAST sgdt [rsp - 16]
    RING3 13, 0
    RING3_LAST smsw ax
    RING3 13, 0
    RING3_LAST str ax
    sgdt [scratch]
    CHECK word [scratch], gdt_end - gdt - 1

; -- SYSCALL and SYSRET
    mov ecx, 0xc0000081
    mov edx, (CODE3C << 16) | CODE0S
    xor eax, eax
    wrmsr
    mov ecx, 0xc0000082
    xor edx, edx
    mov eax, syscall_entry
    wrmsr
    mov ecx, 0xc0000084
    mov eax, 0x300
    wrmsr
    RING3 0x30, 0
    mov rbx, 1
    syscall
.after_syscall:
    RING3_LAST int 0x30
    CHECK rbx, 2
    CHECK qword [sys_rcx], .after_syscall
    CHECK qword [sys_cs], CODE0S
    CHECK qword [sys_ss], CODE0S + 8
    CHECK_CLEAR qword [sys_flags], 0x200
    CHECK_SET r11d, 0x200
    CHECK qword [got_ss], DATA3
    CHECK_SET dword [got_rflags], 0x200

; -- SYSENTER and SYSEXIT
    mov ecx, 0x174
    xor edx, edx
    mov eax, CODE0S
    wrmsr
    mov ecx, 0x175
    mov eax, STACKT
    wrmsr
    mov ecx, 0x176
    mov eax, sysenter_entry
    wrmsr
    mov qword [resume], .sysexit_done
    mov [resume_rsp], rsp
    TO_RING3 .sysenter_user
.sysenter_user:
    sysenter
.sysexit_target:
    int 0x30
.sysexit_done:
    CHECK qword [got_vector], 0x30
    CHECK qword [got_rsp], STACK3 - 64
    CHECK qword [got_cs], (CODE0S + 32) | 3
    CHECK qword [sys_cs], CODE0S

; -- SWAPGS and the bases
    mov ecx, 0xc0000101
    mov eax, 0x111000
    xor edx, edx
    wrmsr
    inc ecx
    mov eax, 0x222000
    mov edx, 0x1
    wrmsr
    swapgs
    dec ecx
    rdmsr
    CHECK eax, 0x222000
    CHECK edx, 1
    mov edx, 0x8000                             ; not canonical
    FAULTS 13, 0, wrmsr
    mov ecx, 0x12345
    FAULTS 13, 0, rdmsr

; -- a call gate to 64-bit code
    mov rax, gate_target
    mov [gdt + GATE], ax
    shr rax, 16
    mov [gdt + GATE + 6], ax
    mov word [far_gate + 8], GATE | 3
    RING3 0x30, 0
    call far qword [far_gate]
    RING3_LAST int 0x30
    CHECK qword [sys_frame], STACKT - 32
    CHECK qword [got_rsp], STACK3

; -- compatibility mode
    mov qword [resume], .compat_done
    mov [resume_rsp], rsp
    push DATA3
    push STACK3
    push 2
    push CODE3C
    push compat
    iretq
    bits 32
compat:
    mov ax, DATA3
    mov ds, ax
    mov ecx, 0xffffffff
    inc ecx                                     ; in 64-bit mode these bytes differ
    mov eax, [ecx + 0x8000]
    dec eax
    int 0x30
    bits 64
start64.compat_done:
    CHECK qword [got_vector], 0x30
    CHECK qword [got_cs], CODE3C
    mov rbx, [0x8000]
    dec ebx
    CHECK rax, rbx
    mov ax, ds
    CHECK ax, DATA3                             ; the handler left it

; -- IRETQ checks
    push DATA0
    push STACK0
    push 2
    push CODE64
    mov rax, 0x0000800000000000
    push rax
    FAULTS 13, 0, iretq
    add rsp, 40
    push 0
    push STACK0
    push 2
    push CODE64
    push .null_ss
    iretq                                       ; a null SS is fine in ring 0
.null_ss:
    mov ax, ss
    CHECK ax, 0
    mov ax, DATA0
    mov ss, ax
    THE_END

syscall_entry:
    mov [sys_rcx], rcx
    mov ax, cs
    movzx eax, ax
    mov [sys_cs], rax
    mov ax, ss
    mov [sys_ss], rax
    mov rdx, rsp
    mov rsp, STACKT
    pushf
    pop rax
    mov [sys_flags], rax
    mov rsp, rdx
    inc rbx
    o64 sysret

sysenter_entry:
    mov ax, cs
    movzx eax, ax
    mov [sys_cs], rax
    mov rcx, STACK3 - 64
    mov rdx, start64.sysexit_target
    o64 sysexit

gate_target:
    mov [sys_frame], rsp
    o64 retf

    align 16
stubs:
%assign n 0
%rep 64
    align 16
%if n == 8 || (n >= 10 && n <= 14) || n == 17
%else
    push qword 0
%endif
    push qword n
    jmp caught
%assign n n + 1
%endrep

caught:
    mov [got_rax], rax
    pop qword [got_vector]
    pop qword [got_error]
    mov [got_frame], rsp
    pop qword [got_rip]
    pop qword [got_cs]
    pop qword [got_rflags]
    pop qword [got_rsp]
    pop qword [got_ss]
    mov rax, cr2
    mov [got_cr2], rax
    mov ax, ss
    movzx eax, ax
    mov [handler_ss], rax
    mov ax, DATA0
    mov ss, ax
    mov rsp, [resume_rsp]
    mov rax, [got_rax]
    jmp [resume]

    align 16
gdt_ptr: dw gdt_end - gdt - 1
    dq gdt
idt_ptr: dw 64 * 16 - 1
    dq idt
    align 8
resume: dq 0
resume_rsp: dq 0
got_rax: dq 0
got_vector: dq 0
got_error: dq 0
got_frame: dq 0
got_rip: dq 0
got_cs: dq 0
got_rflags: dq 0
got_rsp: dq 0
got_ss: dq 0
got_cr2: dq 0
handler_ss: dq 0
sys_rcx: dq 0
sys_cs: dq 0
sys_ss: dq 0
sys_flags: dq 0
sys_frame: dq 0
scratch: dq 0, 0
far_gate: dq 0
    dw 0
    align 16
tss: dd 0
    dq STACKT, 0, 0, 0, STACKI
    times 0x68 - ($ - tss) db 0
gdt: dq 0
    dq 0x00cf9b000000ffff                       ; CODE32
    dq 0x00cf93000000ffff                       ; DATA0
    dq 0x00af9b000000ffff                       ; CODE64
    dq 0
    dq 0x00cffb000000ffff                       ; CODE3C
    dq 0x00cff3000000ffff                       ; DATA3
    dq 0x00affb000000ffff                       ; CODE3
    dq 0x0000890000000067, 0                    ; TSS
    dq 0x00af9b000000ffff                       ; CODE0S
    dq 0x00cf93000000ffff
    dq 0x0000ec0000180000, 0                    ; GATE: CODE64
gdt_end:
    align 16
idt: times 128 dq 0

; segments.asm - segment loads and limits, gates, privilege changes in 32-bit
; protected mode.
%include "check.inc"
%include "pm.inc"
    org 0x8000
    ENTER_PM

; -- loads
    mov ax, 0x1000
    FAULTS 13, 0x1000, mov ds, ax               ; beyond the table
    mov ax, ABSENT
    FAULTS 11, ABSENT, mov es, ax
    FAULTS 12, ABSENT, mov ss, ax
    mov ax, SYSDESC
    FAULTS 13, SYSDESC, mov ds, ax              ; not a segment
    mov ax, EXECONLY
    FAULTS 13, EXECONLY, mov ds, ax
    mov ax, READONLY
    FAULTS 13, READONLY, mov ss, ax
    WORKS mov es, ax
    mov ax, DATA3
    FAULTS 13, DATA3 & ~3, mov ss, ax           ; DPL 3 in ring 0
    mov ax, DATA0 | 1
    FAULTS 13, DATA0, mov ss, ax                ; RPL 1 in ring 0
    xor ax, ax
    FAULTS 13, 0, mov ss, ax
    WORKS mov gs, ax
    FAULTS 13, 0, mov al, [gs:4]
    FAULTS 13, 0, mov al, [gs:0]
    FAULTS 13, 0, mov [gs:0], al
    mov ax, LDTSEL
    FAULTS 13, LDTSEL, mov fs, ax               ; no LDT

; -- the accessed bit is written back
    CHECK byte [gdt + NOACCESS + 5], 0x92
    mov ax, NOACCESS
    mov fs, ax
    CHECK byte [gdt + NOACCESS + 5], 0x93

; -- limits
    mov ax, SMALL                               ; limit 0xff
    mov fs, ax
    WORKS mov al, [fs:0xff]
    FAULTS 13, 0, mov al, [fs:0x100]
    WORKS mov ax, [fs:0xfe]
    FAULTS 13, 0, mov ax, [fs:0xff]
    FAULTS 13, 0, mov eax, [fs:0xfd]
    FAULTS 13, 0, mov eax, [fs:-1]
    mov ax, DOWN                                ; expand-down, limit 0xfff, 32-bit
    mov fs, ax
    FAULTS 13, 0, mov al, [fs:0xfff]
    WORKS mov al, [fs:0x1000]
    WORKS mov eax, [fs:0x12345]
    FAULTS 13, 0, mov eax, [fs:0xffd]
    mov ax, READONLY
    mov fs, ax
    WORKS mov al, [fs:0x8000]
    FAULTS 13, 0, mov [fs:0x8000], al
    FAULTS 13, 0, mov [cs:0x8000], al

; -- string instructions obey limits and update registers up to the fault
    mov ax, SMALL
    mov es, ax
    mov edi, 0xfc
    mov ecx, 16
    cld
    xor eax, eax
    FAULTS 13, 0, rep stosb
    CHECK edi, 0x100
    CHECK ecx, 12
    mov ax, DATA0
    mov es, ax

; -- ring 3
    RING3 13, 0
    RING3_LAST cli
    RING3 13, 0
    RING3_LAST hlt
    RING3 13, 0
    RING3_LAST mov eax, cr0
    RING3 13, 0
    RING3_LAST lgdt [gdt_ptr]
    RING3 13, 0
    RING3_LAST in al, 0x20
    CHECK dword [got_esp], STACK3
    CHECK dword [got_ss], DATA3
    RING3 13, 0x21 * 8 + 2
    RING3_LAST int 0x21                         ; gate DPL 0
    RING3 13, DATA0
    mov ax, DATA0
    RING3_LAST mov ds, ax
    RING3 13, CODE0
    RING3_LAST jmp CODE0:0
    RING3 13, 0
    xor ax, ax
    mov ds, ax
    RING3_LAST mov al, [0]

; DPL 3 gate from ring 3: goes through, the pushed address is the next instruction
    mov byte [idt + 0x30 * 8 + 5], 0xee
    mov dword [resume], .int30
    mov [resume_esp], esp
    TO_RING3 .user30, 0
.user30:
    int 0x30
.user30_next:
.int30:
    CHECK dword [got_vector], 0x30
    CHECK dword [got_eip], .user30_next
    CHECK dword [got_cs], CODE3
    CHECK dword [got_frame], STACKT - 8

; -- call gate to ring 0 with two parameters, and back
    SET_GATE gdt, (GATE / 8), 0xec, CODE0, gate_target
    mov byte [gdt + GATE + 4], 2
    mov dword [resume], .gate_done
    mov [resume_esp], esp
    TO_RING3 .gate_user, 0
.gate_user:
    push dword 0x11111111
    push dword 0x22222222
    mov ebx, 0
    call GATE | 3:0
.gate_back:
    mov edx, esp
    mov ax, cs
    movzx esi, ax
    int 0x30
.gate_done:
    CHECK dword [got_vector], 0x30
    CHECK edx, STACK3                           ; RETF 8 released the parameters
    CHECK esi, CODE3
    CHECK ebx, 0x22222222
    CHECK ecx, 0x11111111
    CHECK edi, STACKT - 24
    CHECK dword [gate_cs], CODE3
    CHECK dword [gate_eip], .gate_back
; gate privilege: DPL 0 gate from ring 3
    mov byte [gdt + GATE + 5], 0x8c
    RING3 13, GATE
    RING3_LAST call GATE:0
    mov byte [gdt + GATE + 5], 0x6c
    RING3 11, GATE
    RING3_LAST call GATE:0
    mov byte [gdt + GATE + 5], 0xec
    RING3 13, CODE0
    RING3_LAST jmp GATE:0                       ; a jump cannot change level

; -- conforming code keeps the level
    mov byte [idt + 0x31 * 8 + 5], 0xee
    mov dword [resume], .conf_done
    mov [resume_esp], esp
    TO_RING3 .conf_user, 0
.conf_user:
    jmp CONFORM:.conf_target
.conf_target:
    mov ebx, 0
    mov bx, cs
    int 0x31
.conf_done:
    CHECK ebx, CONFORM | 3

; -- far return to an outer level nulls data segments of the inner one
    mov dword [resume], .ret_done
    mov [resume_esp], esp
    mov ax, DATA3
    mov fs, ax
    mov ax, DATA0
    mov gs, ax
    push DATA3
    push STACK3
    push CODE3
    push .ret_user
    retf
.ret_user:
    mov ecx, 0
    mov edx, 0
    mov cx, fs
    mov dx, gs
    int 0x30
.ret_done:
    CHECK ecx, DATA3
    CHECK edx, 0
    CHECK dword [got_esp], STACK3

; -- IRET checks
    mov [resume_esp], esp
    push 2
    push 0
    push 0x8000
    FAULTS 13, 0, iret
    add esp, 12
    push 2
    push DATA0
    push 0x8000
    FAULTS 13, DATA0, iret                      ; not code
    add esp, 12
    push 2
    push ABSENTCODE
    push 0x8000
    FAULTS 11, ABSENTCODE, iret
    add esp, 12
    push 2
    push SMALLCODE
    push 0x8000
    FAULTS 13, 0, iret                          ; beyond the limit
    add esp, 12

; -- POPF in ring 3 keeps IF and IOPL
    mov dword [resume], .popf_done
    mov [resume_esp], esp
    TO_RING3 .popf_user, 0
.popf_user:
    push 0x3202
    popf
    int 0x30
.popf_done:
    CHECK_CLEAR dword [got_eflags], 0x3200

; -- I/O permission bitmap
    mov word [tss + 0x66], 0x60                 ; covers ports 0..63, then the 0xff at the end
    mov dword [tss + 0x60], 0
    mov dword [tss + 0x64], 0x00600000
    mov word [tss + 0x66], 0x60
    mov byte [gdt + TSS], 0x68
    mov byte [gdt + TSS + 5], 0x89
    mov ax, TSS
    ltr ax
    mov byte [tss + 0x60], 0xfe                 ; port 0 only
    mov dword [resume], .io_done
    mov [resume_esp], esp
    TO_RING3 .io_user, 0
.io_user:
    in al, 0
    int 0x30
.io_done:
    CHECK dword [got_vector], 0x30
    RING3 13, 0
    RING3_LAST in al, 1
    RING3 13, 0
    RING3_LAST in ax, 0
    RING3 13, 0
    RING3_LAST in al, 0xf0

; -- #DE, #BP, #OF, BOUND, #UD: addresses
    xor edx, edx
    xor ebx, ebx
    FAULTS 0, 0, div ebx
    mov dword [resume], .bp
    mov [resume_esp], esp
    int3
.bp_next:
.bp:
    CHECK dword [got_vector], 3
    CHECK dword [got_eip], .bp_next
    mov dword [resume], .of
    mov al, 0x7f
    inc al
    into
.of_next:
.of:
    CHECK dword [got_vector], 4
    CHECK dword [got_eip], .of_next
    mov eax, 5
    FAULTS 5, 0, bound eax, [bounds]
    FAULTS 6, 0, ud2
    CHECK_SET dword [got_eflags], 0x10000       ; RF is pushed for faults
    THE_END

gate_target:
    mov ax, DATA0
    mov ds, ax
    mov [gate_eip], esp
    mov edi, esp
    mov ebx, [esp + 8]
    mov ecx, [esp + 12]
    mov eax, [esp]
    mov [gate_eip], eax
    mov eax, [esp + 4]
    mov [gate_cs], eax
    retf 8

    align 4
gate_eip: dd 0
gate_cs: dd 0
bounds: dd 1, 4
    PM_DATA
    GDT_START
ABSENT equ $ - gdt
    DESC 0, 0xfffff, 0x13, 12
SYSDESC equ $ - gdt
    DESC 0, 0xfffff, 0x82, 12
EXECONLY equ $ - gdt
    DESC 0, 0xfffff, 0x99, 12
READONLY equ $ - gdt
    DESC 0, 0xfffff, 0x91, 12
NOACCESS equ $ - gdt
    DESC 0, 0xfffff, 0x92, 12
SMALL equ $ - gdt
    DESC 0x10000, 0xff, 0x93, 4
DOWN equ $ - gdt
    DESC 0, 0xfff, 0x97, 4
GATE equ $ - gdt
    dq 0
CONFORM equ $ - gdt
    DESC 0, 0xfffff, 0x9f, 12
ABSENTCODE equ $ - gdt
    DESC 0, 0xfffff, 0x1b, 12
SMALLCODE equ $ - gdt
    DESC 0, 0xff, 0x9b, 4
gdt_end:
LDTSEL equ 0x0c

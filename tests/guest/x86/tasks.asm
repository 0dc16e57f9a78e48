; tasks.asm - hardware task switches by JMP, CALL, task gate, interrupt and IRET, 32- and 16-bit,
; and a double fault handled by a task.
%include "check.inc"
%include "pm.inc"
    org 0x8000
    ENTER_PM
    SET_BASE TSS2, tss2
    SET_BASE TSS3, tss3
    SET_BASE TSS4, tss4
    mov ax, DATA0
    mov fs, ax

; -- CALL to a 32-bit task and IRET back
    mov dword [tss2 + 0x20], task2
    mov dword [tss2 + 0x24], 0x3002
    mov dword [tss2 + 0x28], 0xa0
    mov dword [tss2 + 0x2c], 0xc0
    mov dword [tss2 + 0x38], STACK0 - 0x4000
    mov dword [tss2 + 0x40], 0x51
    mov dword [tss2 + 0x48], DATA0
    mov dword [tss2 + 0x4c], CODE0
    mov dword [tss2 + 0x50], DATA0
    mov dword [tss2 + 0x54], DATA0
    mov eax, 0x1111
    mov ecx, 0x2222
    mov edi, 0x3333
    call TSS2:0
back2:
    CHECK eax, 0x1111
    CHECK ecx, 0x2222
    CHECK edi, 0x3333
    CHECK dword [seen], 0xa0
    CHECK dword [seen + 4], 0xc0
    CHECK dword [seen + 8], 0x51
    CHECK word [tss2], TSS
    CHECK dword [tss + 0x20], back2
    CHECK byte [gdt + TSS + 5], 0x8b            ; busy again
    CHECK byte [gdt + TSS2 + 5], 0x89           ; free
    CHECK byte [seen_type], 0x8b                ; was busy while it ran
    CHECK byte [seen_type + 1], 0x8b            ; and the caller's stayed so
    CHECK_SET dword [seen_flags], 0x4000        ; NT
    mov eax, cr0
    CHECK_SET eax, 8                            ; TS
    clts
    pushf
    pop eax
    CHECK_CLEAR eax, 0x4000
    CHECK_CLEAR dword [tss2 + 0x24], 0x4000     ; IRET saved NT as clear
    CHECK dword [tss2 + 0x20], task2_again      ; the task goes on after its IRET

; -- again, through a task gate and by an interrupt
    call TASKGATE:0
    CHECK dword [seen], 2
    clts
    mov word [idt + 0x38 * 8 + 2], TSS2
    mov word [idt + 0x38 * 8 + 4], 0x8500
    int 0x38
    CHECK dword [seen], 3
    clts

; -- JMP there and JMP back
    mov dword [tss2 + 0x20], task2_jump
    jmp TSS2:0
back_jump:
    CHECK byte [gdt + TSS2 + 5], 0x89
    CHECK byte [gdt + TSS + 5], 0x8b
    pushf
    pop eax
    CHECK_CLEAR eax, 0x4000

; -- a 16-bit task
    mov word [tss3 + 0x0e], task3
    mov word [tss3 + 0x10], 2
    mov word [tss3 + 0x12], 0x1234
    mov word [tss3 + 0x1a], 0x6000
    mov word [tss3 + 0x22], DATA0
    mov word [tss3 + 0x24], CODE16
    mov word [tss3 + 0x26], DATA0
    mov word [tss3 + 0x28], DATA0
    mov eax, 0xabcd5678
    call TSS3:0
    CHECK eax, 0xabcd5678
    CHECK word [seen], 0x1234

; -- checks: a busy TSS, a TSS too small, a bad segment in the new task
    FAULTS 13, TSS, jmp TSS:0
    FAULTS 10, SMALLTSS, call SMALLTSS:0
    FAULTS 13, DATA0, call TASKGATE2:0          ; the gate names no TSS
    mov dword [tss2 + 0x20], task2
    mov dword [tss2 + 0x54], 0x1000             ; DS
    mov dword [resume], .bad_ds
    mov [resume_esp], esp
    call TSS2:0
.bad_ds:
    CHECK dword [got_vector], 10
    CHECK dword [got_error], 0x1000
    CHECK dword [got_eip], task2                ; the fault is in the new task
    str ax
    CHECK ax, TSS2
    mov dword [tss2 + 0x54], DATA0

; -- double fault by a task: an exception with no handler
    mov word [idt + 8 * 8 + 2], TSS4
    mov word [idt + 8 * 8 + 4], 0x8500
    mov dword [tss4 + 0x20], task4
    mov dword [tss4 + 0x24], 2
    mov dword [tss4 + 0x38], STACK0 - 0x8000
    mov dword [tss4 + 0x48], DATA0
    mov dword [tss4 + 0x4c], CODE0
    mov dword [tss4 + 0x50], DATA0
    mov dword [tss4 + 0x54], DATA0
    push dword 0x4002                           ; the nested flag does not matter here
    popf
    mov byte [idt + 13 * 8 + 5], 0              ; #GP not present: #NP while delivering #GP
    mov esp, STACK0
    mov ax, 0x1000
faulty:
    mov ds, ax
    FAIL
    THE_END

task2:
    mov [seen], eax
    mov [seen + 4], ecx
    mov [seen + 8], ebp
    mov ebp, edi
    mov dword [seen + 8], 0x51
    cmp edi, 0
    pushf
    pop dword [seen_flags]
    mov al, [gdt + TSS2 + 5]
    mov [seen_type], al
    mov al, [gdt + TSS + 5]
    mov [seen_type + 1], al
    mov ebx, 2
    iret
task2_again:
    mov [seen], ebx
    inc ebx
    iret
    jmp task2_again

task2_jump:
    jmp TSS:0

task4:
    pop eax                                     ; error code
    CHECK eax, 0
    CHECK dword [tss2 + 0x20], faulty
    mov ax, [tss4]
    CHECK ax, TSS2
    THE_END

    bits 16
task3:
    mov [seen], ax
    iret
    bits 32

    align 4
seen: dd 0, 0, 0
seen_flags: dd 0
seen_type: dd 0
    align 16
tss2: times 0x68 db 0
tss3: times 0x2c db 0
    align 16
tss4: times 0x68 db 0
    PM_DATA
    GDT_START
TSS2 equ $ - gdt
    DESC 0, 0x67, 0x89, 0
TSS3 equ $ - gdt
    DESC 0, 0x2b, 0x81, 0
TSS4 equ $ - gdt
    DESC 0, 0x67, 0x89, 0
SMALLTSS equ $ - gdt
    DESC 0, 0x66, 0x89, 0
TASKGATE equ $ - gdt
    dw 0, TSS2, 0x8500, 0
TASKGATE2 equ $ - gdt
    dw 0, DATA0, 0x8500, 0
CODE16 equ $ - gdt
    DESC 0, 0xffff, 0x9b, 0
gdt_end:

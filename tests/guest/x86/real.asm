; real.asm - real mode: interrupts, faults, single step, unreal mode, 16-bit wrap.
%include "check.inc"
    org 0x8000
    bits 16
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7000
    mov cx, 32
    mov di, 0
    mov ax, handler
.fill:
    mov [di], ax
    mov word [di + 2], 0
    add di, 4
    loop .fill

; INT n pushes flags, CS and the next IP, and clears IF and TF
    mov word [0x60 * 4], int60
    mov word [0x60 * 4 + 2], 0
    sti
    stc
    int 0x60
back60:
    CHECK word [seen], back60
    CHECK word [seen + 2], 0
    CHECK_SET word [seen + 4], 0x201
    CHECK_CLEAR word [seen + 6], 0x300
    pushf
    pop ax
    CHECK_SET ax, 0x200                         ; IRET restored IF
    CHECK sp, 0x7000
    cli

; faults push no error code; the address is the instruction's
%macro FAULTS16 1+
    mov word [resume], %%after
    mov word [seen], 0
    mov bp, sp
%%insn:
    %1
    FAIL
%%after:
    CHECK word [seen], %%insn
    CHECK sp, bp
%endmacro
    xor cx, cx
    FAULTS16 div cx
    FAULTS16 ud2
    FAULTS16 mov ax, [0xffff]                   ; a word at the segment's end
    mov bx, 0xfffd
    FAULTS16 mov eax, [bx]
    mov al, [0xffff]
    FAULTS16 lldt ax                            ; not in real mode
    mov eax, cr0
    or eax, 0x80000000
    and eax, ~1
    FAULTS16 mov cr0, eax                       ; paging without protection

; a large vector is beyond the limit of the table
    lidt [short_idt]
    FAULTS16 int 0x60
    lidt [full_idt]

; single step: one trap after each instruction, none after IRET into the stepped code itself
    mov word [1 * 4], step
    mov word [steps], 0
    pushf
    pop ax
    or ax, 0x100
    push ax
    popf                                        ; the trap comes after the next instruction
    nop
step1:
    inc dx
step2:
    pushf
step3:
    pop ax
step4:
    and ax, 0xfeff
step5:
    push ax
step6:
    popf
step7:
    nop
    CHECK word [steps], 7
    CHECK word [step_ip], step1
    CHECK word [step_ip + 2], step2
    CHECK word [step_ip + 12], step7
    CHECK_CLEAR ax, 0x100
    mov eax, dr6
    CHECK_SET ax, 0x4000

; unreal mode: the limit of a protected-mode load survives
    mov ax, 0x1000
    mov fs, ax
    lgdt [gdt_ptr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    mov bx, 8
    mov fs, bx
    and al, 0xfe
    mov cr0, eax
    mov ebx, 0x200000
    mov dword [fs:ebx], 0x600dcafe
    CHECK dword [fs:ebx], 0x600dcafe
    mov ax, 0x10
    mov fs, ax                                  ; only the base changes
    CHECK dword [fs:ebx - 0x100], 0x600dcafe
    FAULTS16 mov eax, [ebx]                     ; DS still has 64 KiB

; IP wraps in a 64 KiB segment: a jump to 0xfff0 falls through to 0 in segment 0x2000
    mov ax, 0x2000
    mov es, ax
    mov byte [es:0xfffe], 0x90
    mov byte [es:0xffff], 0x40                  ; inc ax
    mov dword [es:0], 0x00ea40                  ; inc ax; jmp far
    mov word [es:2], wrapped
    mov word [es:4], 0
    mov ax, 5
    jmp 0x2000:0xfffe
wrapped:
    CHECK ax, 7

; PUSH SP, and a stack that wraps
    mov sp, 2
    push word 0x1234
    push word 0x5678
    CHECK sp, 0xfffe
    CHECK word [0], 0x1234
    CHECK word [0xfffe], 0x5678
    mov sp, 0x7000

; far calls, indirect far jumps, RETF n
    push word 0x1111
    call 0:far_callee
    CHECK sp, 0x7000
    mov word [0x500], landed
    mov word [0x502], 0
    jmp far [0x500]
    FAIL
landed:

; interrupt shadow: no interrupt between MOV SS and the next instruction is hard to see here, but
; STI; CLI must let none in, and HLT with IF clear is the end
    THE_END

far_callee:
    mov bp, sp
    CHECK word [bp + 2], 0
    CHECK word [bp + 4], 0x1111
    retf 2

int60:
    push bp
    mov bp, sp
    mov ax, [bp + 2]
    mov [seen], ax
    mov ax, [bp + 4]
    mov [seen + 2], ax
    mov ax, [bp + 6]
    mov [seen + 4], ax
    pushf
    pop ax
    mov [seen + 6], ax
    pop bp
    iret

handler:                                        ; records IP, goes on at [resume]
    pop word [seen]
    add sp, 4
    jmp [resume]

step:
    push bp
    push bx
    push ax
    mov bp, sp
    mov ax, [bp + 6]
    mov bx, [steps]
    add bx, bx
    mov [step_ip + bx], ax
    inc word [steps]
    pop ax
    pop bx
    pop bp
    iret

    align 4
seen: dw 0, 0, 0, 0
resume: dw 0
steps: dw 0
step_ip: times 16 dw 0
short_idt: dw 0x60 * 4 - 1
    dd 0
full_idt: dw 0x3ff
    dd 0
gdt_ptr: dw 15
    dd gdt
gdt: dq 0
    dq 0x00cf93000000ffff

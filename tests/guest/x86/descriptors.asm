; descriptors.asm - LAR, LSL, VERR, VERW.
%include "check.inc"
%include "pm.inc"
    org 0x8000
    ENTER_PM

    mov cx, CODE0
    lar eax, ecx
    CHECK eax, 0x00c09b00
    lsl eax, ecx
    CHECK eax, 0xffffffff
    mov cx, SMALL
    lsl eax, ecx
    CHECK eax, 0xff
    mov cx, 0x1000
    mov eax, 0x1234
    lar eax, ecx
    jnz .lar_kept
    FAIL
.lar_kept:
    CHECK eax, 0x1234
    mov ax, READONLY
    verr ax
    jz .verr1
    FAIL
.verr1:
    verw ax
    jnz .verw1
    FAIL
.verw1:
    mov ax, EXECONLY
    verr ax
    jnz .verr2
    FAIL
.verr2:

    THE_END

    PM_DATA
    GDT_START
SMALL equ $ - gdt
    DESC 0x10000, 0xff, 0x93, 4
READONLY equ $ - gdt
    DESC 0, 0xfffff, 0x91, 12
EXECONLY equ $ - gdt
    DESC 0, 0xfffff, 0x99, 12
gdt_end:

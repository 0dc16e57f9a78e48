; triple.asm - a fault without any handler, and none for the double fault: the CPU shuts down.
%include "check.inc"
    org 0x8000
    bits 16
    cli
    xor ax, ax
    mov ds, ax
    lidt [no_idt]
    ud2
    FAIL
    THE_END
no_idt: dw 0
    dd 0

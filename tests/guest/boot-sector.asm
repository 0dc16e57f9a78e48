; boot-sector.asm - reads sector 1 of the disk it came from by INT 13h, adds 1 to its first byte,
; writes it back, prints the byte to COM1 and ends through isa-debug-exit (port 0xf4).
        bits 16
        org 0x7c00
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7c00
        mov ax, 0x0201          ; read one sector
        mov bx, 0x8000
        mov cx, 0x0002          ; cylinder 0, sector 2
        mov dh, 0
        int 0x13
        jc fail
        inc byte [0x8000]
        mov ax, 0x0301          ; write it
        int 0x13
        jc fail
        mov dx, 0x3f8
        mov al, [0x8000]
        out dx, al
        mov al, 0x10            ; exit code 33
        out 0xf4, al
        hlt
fail:   mov al, 0x11            ; exit code 35
        out 0xf4, al
        hlt
        times 510 - ($ - $$) db 0
        dw 0xaa55
        db 'A'
        times 4096 - ($ - $$) db 0

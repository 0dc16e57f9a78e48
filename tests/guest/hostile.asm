; A boot sector that fills memory with random bytes and runs them in ring 0: in real mode, protected mode
; or long mode (MODE 0, 1, 2; SEED). Whatever happens is right as long as the emulator survives.
        bits 16
        org 0x7c00
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7000
        mov ax, 0x2401          ; A20 on
        int 0x15
        cli
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:protected

        bits 32
protected:
        mov ax, 16
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, 0x90000
        mov edi, 0x10000        ; random bytes from 10000h on: xorshift
        mov ecx, 0x10000
        mov eax, SEED
.fill:  mov edx, eax
        shl edx, 13
        xor eax, edx
        mov edx, eax
        shr edx, 17
        xor eax, edx
        mov edx, eax
        shl edx, 5
        xor eax, edx
        mov dl, 4
.byte:  cmp al, 0xf4            ; no HLT: with interrupts off it would end the test too soon
        jne .store
        inc eax
.store: rol eax, 8
        dec dl
        jnz .byte
        stosd
        loop .fill
        ; every exception goes on at the next random place: gates at 8000h, a stub at 9000h each
        mov edi, 0x8000
        mov ecx, 256
.gate:
%if MODE == 2
        mov dword [edi], 0x00180000 + (again - $$ + 0x7c00)
        mov dword [edi + 4], 0x00008e00
        mov dword [edi + 8], 0
        mov dword [edi + 12], 0
        add edi, 16
%else
        mov dword [edi], 0x00080000 + (again - $$ + 0x7c00)
        mov dword [edi + 4], 0x00008e00
        add edi, 8
%endif
        loop .gate
        lidt [idtr]
%if MODE == 0
        jmp 32:.to_real
        bits 16
.to_real:
        mov eax, cr0
        and al, 0xfe
        mov cr0, eax
        jmp 0:.real
.real:  lidt [real_idtr]
        xor ax, ax
        mov ds, ax
        mov di, 0               ; the vector table points to a handler that goes on elsewhere
        mov cx, 256
.vec:   mov word [di], again
        mov word [di + 2], 0
        add di, 4
        loop .vec
        jmp again
again:  mov sp, 0x7000
        xor eax, eax
        mov ss, ax
        mov es, ax
        rdtsc
        and ax, 0xfff0
        push word 0x1000
        push ax
        retf
%elif MODE == 1
        jmp again
again:  mov esp, 0x90000
        rdtsc
        and eax, 0x3ffff
        add eax, 0x10000
        jmp eax
%else
        mov edi, 0x1000         ; 4 GiB identity-mapped by 2 MiB pages, tables at 1000h
        mov cr3, edi
        xor eax, eax
        mov ecx, 0x1800
        rep stosd
        mov dword [0x1000], 0x2003
        mov dword [0x2000], 0x3003
        mov edi, 0x3000
        mov eax, 0x83
.page:  mov [edi], eax
        add eax, 0x200000
        add edi, 8
        cmp edi, 0x4000
        jb .page
        mov eax, cr4
        or eax, 0x620
        mov cr4, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x901
        wrmsr
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        jmp 24:again
        bits 64
again:  mov esp, 0x90000
        rdtsc
        and eax, 0x3ffff
        add eax, 0x10000
        jmp rax
%endif

gdt:    dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff, 0x00009a000000ffff
gdtr:   dw $ - gdt - 1
        dd gdt
idtr:   dw 0xfff
        dd 0x8000
real_idtr:
        dw 0x3ff
        dd 0
        times 510 - ($ - $$) db 0
        dw 0xaa55

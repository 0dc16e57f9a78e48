/*
 * linux-boot-rom.S - option ROM that loads a kernel from fw_cfg and starts it.
 *
 * Source of the bytes in linux-boot-rom.c:
 *     as --32 linux-boot-rom.S -o rom.o && objcopy -O binary -j .text rom.o rom.bin
 * then the last byte is chosen so that all 512 sum to zero.
 *
 * The firmware calls the boot entry vector in real mode. Each part is copied by fw_cfg's DMA, which
 * reaches all of memory, so real mode is enough. Then the 16-bit entry point of the Linux boot
 * protocol is entered: all segments hold the setup's, CS 20h paragraphs more.
 */
    .code16
    .text
rom:
    .byte 0x55, 0xaa
    .byte 1                     /* size in units of 512 bytes */
    jmp init
    .org 0x1a
    .word pnp
    .align 16
pnp:
    .ascii "$PnP"
    .byte 1, 2                  /* revision, length in units of 16 bytes */
    .word 0                     /* no further header */
    .byte 0
    .byte 0                     /* checksum, see the last instruction of the build */
    .long 0
    .word 0
    .word product
    .byte 0, 0, 0
    .byte 0
    .word 0, 0, boot, 0, 0      /* BCV, disconnect, BEV, reserved, resources */
product:
    .asciz "Linux kernel"

init:
    mov $0x20, %ax              /* an initial program load device is attached */
    lretw

boot:
    cli
    cld
    xor %ax, %ax
    mov %ax, %ss
    mov $0x7c00, %sp
    push %ax
    pop %ds                     /* DS = SS = 0: the DMA request lies on the stack */
    mov $parts, %bx
next_part:
    mov %cs:(%bx), %ax          /* selector of the address, zero ends the list */
    test %ax, %ax
    jz start
    call read_long
    push %ecx                   /* the address */
    mov %cs:2(%bx), %ax
    call read_long              /* ECX: the size */
    pop %edx
    mov %cs:4(%bx), %ax         /* selector of the data */
    call copy
    add $6, %bx
    jmp next_part

start:
    mov $0x16, %ax              /* the setup's address */
    call read_long
    shr $4, %ecx
    mov %cx, %ds
    mov %cx, %es
    mov %cx, %fs
    mov %cx, %gs
    mov %cx, %ss
    mov $0xfff0, %sp
    add $0x20, %cx
    push %cx
    push $0
    xor %ebx, %ebx
    lretw

/* ECX = the 32-bit item AX. */
read_long:
    mov $0x510, %dx
    out %ax, %dx
    inc %dx
    mov $4, %si
1:  shl $8, %ecx
    in %dx, %al
    mov %al, %cl
    dec %si
    jnz 1b
    bswap %ecx                  /* the first byte is the lowest */
    ret

/* Copy ECX bytes of item AX to EDX. The request is big-endian: control, length, address. */
copy:
    bswap %ecx
    bswap %edx
    push %edx
    pushl $0
    push %ecx
    movzwl %ax, %eax
    shl $16, %eax
    or $0x0a, %al               /* select, read */
    bswap %eax
    push %eax
    movzwl %sp, %esi
    mov $0x514, %dx
    xor %eax, %eax
    out %eax, %dx
    mov %esi, %eax
    bswap %eax
    add $4, %dx
    out %eax, %dx
    add $16, %sp
    ret

parts:                          /* selectors of address, size, data */
    .word 0x16, 0x17, 0x18      /* setup */
    .word 0x13, 0x14, 0x15      /* command line */
    .word 0x07, 0x08, 0x11      /* kernel */
    .word 0x0a, 0x0b, 0x12      /* initial RAM disk */
    .word 0
    .org 512

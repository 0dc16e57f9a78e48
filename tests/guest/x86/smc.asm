; smc.asm - code that changes: the next instruction, the one after a jump, through another mapping,
; by string instructions, and instructions that cross pages.
%include "check.inc"
%include "pm.inc"
PD  equ 0x100000
PT  equ 0x101000
    org 0x8000
    ENTER_PM

; the very next instruction
    mov byte [.imm + 1], 7
.imm:
    mov al, 1
    CHECK al, 7

; a loop whose body is changed in each turn
    xor ebx, ebx
    mov ecx, 50
.loop:
    mov [.body + 1], ecx
.body:
    mov eax, 0
    add ebx, eax
    dec ecx
    jnz .loop
    CHECK ebx, 1275

; a routine called, rewritten, called again
    call routine
    CHECK eax, 1
    mov dword [routine + 1], 2
    call routine
    CHECK eax, 2
    mov esi, other
    mov edi, routine
    mov ecx, 6
    rep movsb
    call routine
    CHECK eax, 3
    mov byte [routine], 0xc3
    mov eax, 9
    call routine
    CHECK eax, 9

; an instruction that crosses a page, and its second half changed
    mov dword [0x20ffe], 0x3412b890             ; nop; mov eax, imm32 split over the pages
    mov dword [0x21002], 0xc37856
    mov byte [0x20ffe], 0x90
    call 0x20ffe
    CHECK eax, 0x78563412 & 0xffffffff
    mov byte [0x21001], 0x99
    call 0x20ffe
    CHECK eax, 0x78569912

; paging: the same physical code under another address; the second page replaced
    mov edi, PD
    mov ecx, 1024
    xor eax, eax
    rep stosd
    mov dword [PD], PT + 7
    mov edi, PT
    mov eax, 7
.fill:
    stosd
    add eax, 0x1000
    cmp edi, PT + 0x1000
    jb .fill
    mov eax, PD
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    mov dword [PT + 0x300 * 4], 0x20007         ; 0x300000 -> 0x20000
    mov dword [PT + 0x301 * 4], 0x21007
    invlpg [0x300000]
    invlpg [0x301000]
    mov eax, 0
    call 0x300ffe
    CHECK eax, 0x78569912
    mov byte [0x301001], 0x44                   ; written under one name, run under the other
    call 0x20ffe
    CHECK eax, 0x78564412
    mov dword [0x22000], 0x77553412
    mov dword [0x22004], 0xc3c3c3c3
    mov eax, [0x21000]
    mov [0x22000], eax
    mov byte [0x22001], 0x22
    mov eax, [0x21004]
    mov [0x22004], eax
    mov dword [PT + 0x301 * 4], 0x22007         ; another second page
    invlpg [0x301000]
    call 0x300ffe
    CHECK eax, 0x78562212
    call 0x20ffe
    CHECK eax, 0x78564412
; the second page goes away: the fault names its address, the instruction is the first page's
    mov dword [PT + 0x301 * 4], 0
    invlpg [0x301000]
    mov dword [resume], .gone
    mov [resume_esp], esp
    call 0x300ffe
.gone:
    CHECK dword [got_vector], 14
    CHECK dword [got_cr2], 0x301000
    CHECK dword [got_eip], 0x300fff
    THE_END

    align 64
routine:
    mov eax, 1
    ret
other:
    mov eax, 3
    ret
    PM_DATA
    GDT_START
gdt_end:

; paging.asm - two-level and PAE page tables: fault reasons, accessed and dirty bits, large pages,
; WP, NX, SMEP, SMAP, global pages, INVLPG.
%include "check.inc"
%include "pm.inc"

PD      equ 0x100000                            ; two-level
PT      equ 0x101000                            ; maps 0..4 MiB
PT1     equ 0x102000                            ; maps 4..8 MiB
PDPT    equ 0x110000                            ; PAE
PDP     equ 0x111000
PTP     equ 0x112000                            ; maps 0..2 MiB
PTP1    equ 0x113000                            ; maps 2..4 MiB

; PAGE_FAULT error, address, instruction
%macro PAGE_FAULT 3+
    FAULTS 14, %1, %3
    CHECK dword [got_cr2], %2
%endmacro

; Fault in ring 3 by code at the label %3 (the first instruction)
%macro USER_FAULT 3
    mov dword [resume], %%after
    mov [resume_esp], esp
    mov dword [got_vector], -1
    TO_RING3 %3, 0
%%after:
    CHECK dword [got_vector], 14
    CHECK dword [got_error], %1
    CHECK dword [got_cr2], %2
%endmacro

%macro FLUSH 0
    mov eax, cr3
    mov cr3, eax
%endmacro

    org 0x8000
    ENTER_PM

; -- two-level tables: identity, supervisor, writable; user pages at 0x8000.. and the ring 3 stack
    mov edi, PD
    xor eax, eax
    mov ecx, 3 * 1024
    rep stosd
    mov dword [PD], PT + 7
    mov dword [PD + 4], PT1 + 7
    mov edi, PT
    mov eax, 7
.fill:
    stosd
    add eax, 0x1000
    cmp edi, PT + 0x1000
    jb .fill
    mov eax, PD
    mov cr3, eax
    mov eax, cr4
    or eax, 0x10                                ; PSE
    mov cr4, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp .paged
.paged:

; accessed and dirty
    CHECK_SET dword [PD], 0x20
    mov dword [PT + 0x200 * 4], 0x200007        ; 0x200000
    FLUSH
    mov eax, [0x200000]
    CHECK dword [PT + 0x200 * 4], 0x200027
    mov [0x200000], eax
    CHECK dword [PT + 0x200 * 4], 0x200067
    CHECK_CLEAR dword [PD + 4], 0x20

; not present
    mov dword [PT + 0x201 * 4], 0x201006
    PAGE_FAULT 0, 0x201234, mov eax, [0x201234]
    PAGE_FAULT 2, 0x201234, mov [0x201234], al
    PAGE_FAULT 0, 0x800123, mov al, [0x800123]  ; no table
    PAGE_FAULT 2, 0x201000, mov [0x200ffe], eax ; crosses into it
    PAGE_FAULT 0, 0x201000, mov eax, [0x200ffd]
    mov eax, [0x200ff8]
    mov dword [0x200ffc], 0x12345678
    mov ebx, 0x55aa55aa
    PAGE_FAULT 2, 0x201000, mov [0x200ffe], ebx
    CHECK dword [0x200ffc], 0x12345678          ; nothing was written

; supervisor page from ring 3, read-only page
    mov dword [PT + 0x202 * 4], 0x202003
    mov dword [PT + 0x203 * 4], 0x203005
    FLUSH
    USER_FAULT 5, 0x202010, user_read_202
    USER_FAULT 7, 0x202010, user_write_202
    USER_FAULT 7, 0x203010, user_write_203
    USER_FAULT 4, 0x201000, user_jump_201
    USER_FAULT 5, 0x202000, user_jump_202
    CHECK dword [got_eip], 0x202000
    WORKS mov [0x203010], al                    ; WP is off
    mov eax, cr0
    or eax, 0x10000
    mov cr0, eax
    PAGE_FAULT 3, 0x203010, mov [0x203010], al
    WORKS mov al, [0x203010]
    and dword [PD], ~2                          ; read-only by the directory
    FLUSH
    mov eax, cr0
    and eax, ~0x10000
    mov cr0, eax
    or dword [PD], 2
    FLUSH

; the TLB may keep an entry until INVLPG, and must not after it
    mov eax, [0x200000]
    mov dword [PT + 0x200 * 4], 0x204067
    mov dword [0x204000], 0x204
    invlpg [0x200000]
    CHECK dword [0x200000], 0x204
    mov dword [PT + 0x200 * 4], 0x200067

; 4 MiB page
    mov dword [PD + 8], 0x000083 | 4            ; 8 MiB -> 0
    FLUSH
    mov eax, [0x800000 + got_vector]
    mov dword [got_vector], 77
    CHECK dword [0x800000 + got_vector], 77
    CHECK_SET dword [PD + 8], 0x20
    CHECK_CLEAR dword [PD + 8], 0x40
    mov dword [0x800000 + got_vector], 78
    CHECK_SET dword [PD + 8], 0x40
    mov dword [PD + 8], 0x200087                ; bit 21 is reserved
    FLUSH
    PAGE_FAULT 9, 0x800000, mov al, [0x800000]
    mov dword [PD + 8], 0
    FLUSH

; a faulting REP MOVSB stops exactly there
    mov esi, 0x9000
    mov edi, 0x200ff0
    mov ecx, 0x40
    cld
    PAGE_FAULT 2, 0x201000, rep movsb
    CHECK ecx, 0x30
    CHECK edi, 0x201000
    CHECK esi, 0x9010

; PUSH to a missing page leaves ESP
    mov ebp, esp
    mov dword [resume], .push_done
    mov dword [resume_esp], STACK0
    mov dword [tss + 4], STACKT
; -- PAE
.push_done:
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov edi, PDPT
    xor eax, eax
    mov ecx, 4 * 1024
    rep stosd
    mov dword [PDPT], PDP + 1
    mov dword [PDP], PTP + 7
    mov dword [PDP + 8], PTP1 + 7
    mov edi, PTP
    mov eax, 7
.fill_pae:
    mov [edi], eax
    add edi, 8
    add eax, 0x1000
    cmp edi, PTP + 0x2000
    jb .fill_pae
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x800                               ; NXE
    wrmsr
    mov eax, PDPT
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp .pae
.pae:
    mov eax, [0x200000]
    CHECK dword [PTP1], 0x200027
; no execute
    mov byte [0x205000], 0xc3                   ; ret
    WORKS call 0x205000
    mov dword [PTP1 + 5 * 8 + 4], 0x80000000
    FLUSH
    mov dword [resume], .nx
    mov [resume_esp], esp
    mov eax, 0x205000
    call eax
.nx:
    CHECK dword [got_vector], 14
    CHECK dword [got_error], 0x11
    CHECK dword [got_eip], 0x205000
    CHECK dword [got_cr2], 0x205000
    WORKS mov al, [0x205000]
    mov dword [PTP1 + 5 * 8 + 4], 0
; reserved bits
    mov dword [PTP1 + 6 * 8 + 4], 0x00100000
    FLUSH
    PAGE_FAULT 9, 0x206000, mov al, [0x206000]
    PAGE_FAULT 0xb, 0x206000, mov [0x206000], al
    mov dword [PTP1 + 6 * 8 + 4], 0
; 2 MiB pages
    mov dword [PDP + 16], 0x87
    FLUSH
    mov dword [got_vector], 99
    CHECK dword [0x400000 + got_vector], 99
    CHECK dword [PDP + 16], 0xa7
    mov dword [PDP + 16], 0x2087                ; a reserved address bit
    FLUSH
    PAGE_FAULT 9, 0x400000, mov al, [0x400000]
; a page directory pointer changes only when CR3 is written
    PAGE_FAULT 0, 0x40000000, mov al, [0x40000000]
    mov dword [PDPT + 8], PDP + 1
    FLUSH
    CHECK dword [0x40000000 + got_vector], 14
    mov dword [PDPT + 8], PDP + 3               ; reserved bit: refused
    mov eax, PDPT
    FAULTS 13, 0, mov cr3, eax
    mov dword [PDPT + 8], 0

; -- global pages survive a CR3 write, not INVLPG
    mov eax, cr4
    or eax, 0x80
    mov cr4, eax
    or dword [PTP1 + 7 * 8], 0x100
    mov eax, [0x207000]
    mov dword [PTP1 + 7 * 8], 0x208167
    mov dword [0x208000], 0x208
    invlpg [0x207000]
    CHECK dword [0x207000], 0x208

; -- SMEP: supervisor code may not run user pages; code pages become supervisor first
    mov ecx, 8
.supervisor:
    and dword [PTP + ecx * 8], ~4
    inc ecx
    cmp ecx, 0x10
    jb .supervisor
    mov ecx, 0x40
.supervisor2:
    and dword [PTP + ecx * 8], ~4
    inc ecx
    cmp ecx, 0x71
    jb .supervisor2
    mov ecx, 0x100
.supervisor3:
    and dword [PTP + ecx * 8], ~4
    inc ecx
    cmp ecx, 0x120
    jb .supervisor3
    FLUSH
    mov eax, cr4
    or eax, 0x100000
    mov cr4, eax
    mov dword [resume], .smep
    mov [resume_esp], esp
    mov dword [got_vector], -1
    mov eax, 0x205000
    call eax
.smep:
    CHECK dword [got_vector], 14
    CHECK dword [got_error], 0x11
    CHECK dword [got_cr2], 0x205000
; -- SMAP: nor read or write them, unless AC is set
    WORKS mov al, [0x205000]
    mov eax, cr4
    or eax, 0x200000
    mov cr4, eax
    PAGE_FAULT 1, 0x205000, mov al, [0x205000]
    PAGE_FAULT 3, 0x205000, mov [0x205000], al
    stac
    WORKS mov al, [0x205000]
    clac
    PAGE_FAULT 1, 0x205000, mov al, [0x205000]
    mov eax, cr4
    and eax, ~0x300000
    mov cr4, eax
    WORKS mov al, [0x205000]
    FAULTS 13, 0, mov cr4, ebp                  ; EBP has reserved bits
    THE_END

; each in ring 3: DS is null there, so load it first
    align 16
user_read_202:
    mov ax, DATA3
    mov ds, ax
    mov al, [0x202010]
    ud2
user_write_202:
    mov ax, DATA3
    mov ds, ax
    mov [0x202010], al
    ud2
user_write_203:
    mov ax, DATA3
    mov ds, ax
    mov al, [0x203010]
    mov [0x203010], al
    ud2
user_jump_201:
    jmp 0x201000
user_jump_202:
    jmp 0x202000
    PM_DATA
    GDT_START
gdt_end:

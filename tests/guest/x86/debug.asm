; debug.asm - single step and debug registers in protected mode: code breakpoints with RF, data and
; I/O breakpoints, general detect, ICEBP.
%include "check.inc"
%include "pm.inc"
    org 0x8000
    ENTER_PM

; -- single step: the trap is after the instruction that follows POPF
    mov dword [resume], .stepped
    mov [resume_esp], esp
    pushf
    or dword [esp], 0x100
    popf
    nop
.step_next:
    FAIL
.stepped:
    CHECK dword [got_vector], 1
    CHECK dword [got_eip], .step_next
    CHECK_CLEAR dword [got_eflags], 0x10000
    mov eax, dr6
    CHECK eax, 0xffff4ff0
    mov eax, 0xffff0ff0
    mov dr6, eax

; -- a code breakpoint is a fault, before the instruction
    mov eax, .target
    mov dr0, eax
    mov eax, 0x401 | 2
    mov dr7, eax
    mov ebx, 5
    mov dword [resume], .hit
    mov [resume_esp], esp
    mov dword [got_vector], -1
.target:
    inc ebx
    FAIL
.hit:
    CHECK dword [got_vector], 1
    CHECK dword [got_eip], .target
    CHECK ebx, 5
    CHECK_SET dword [got_eflags], 0x10000
    mov eax, dr6
    CHECK eax, 0xffff0ff1
; with RF the instruction runs once
    mov dword [resume], .target_again
    push dword 0x10002
    push dword CODE0
    push dword .target2
    mov eax, .target2
    mov dr0, eax
    iret
.target2:
    inc ebx
    CHECK ebx, 6
.target_again:
    CHECK ebx, 6

; -- data breakpoint: write to a dword, trap after the instruction
    mov eax, 0xffff0ff0
    mov dr6, eax
    mov eax, watched
    mov dr1, eax
    mov eax, 0x400 | 8 | (1 << 20) | (3 << 22)
    mov dr7, eax
    mov dword [resume], .watched
    mov eax, [watched]                          ; a read does not hit
    mov [watched + 4], eax                      ; nor the neighbour
    mov byte [watched + 3], 7
.watch_next:
    nop
    FAIL
.watched:
    CHECK dword [got_vector], 1
    CHECK dword [got_eip], .watch_next
    mov eax, dr6
    CHECK eax, 0xffff0ff2
    xor eax, eax
    mov dr7, eax
    CHECK byte [watched + 3], 7

; -- the same by an instruction that reads, changes and writes
    mov eax, 0xffff0ff0
    mov dr6, eax
    mov eax, 0x400 | 8 | (1 << 20) | (3 << 22)
    mov dr7, eax
    mov dword [resume], .modified
    mov dword [got_eip], 0
    lock inc dword [watched]
.modify_next:
    nop
    FAIL
.modified:
    CHECK dword [got_eip], .modify_next
    mov eax, dr6
    CHECK eax, 0xffff0ff2
    xor eax, eax
    mov dr7, eax

; -- I/O breakpoint with CR4.DE
    mov eax, cr4
    or al, 8
    mov cr4, eax
    mov eax, 0xffff0ff0
    mov dr6, eax
    mov eax, 0x80
    mov dr2, eax
    mov eax, 0x400 | 32 | (2 << 24)
    mov dr7, eax
    mov dword [resume], .io
    out 0x81, al
    out 0x80, al
.io_next:
    nop
    FAIL
.io:
    CHECK dword [got_eip], .io_next
    mov eax, dr6
    CHECK eax, 0xffff0ff4
    FAULTS 6, 0, mov eax, dr4                   ; with DE there is no DR4
    mov eax, 0x2400
    mov dr7, eax
    FAULTS 1, 0, mov eax, dr3                   ; general detect
    mov eax, dr6
    CHECK_SET eax, 0x2000
    mov eax, dr7
    CHECK eax, 0x400                            ; and it is off again

; -- ICEBP
    mov dword [resume], .icebp
    db 0xf1
.icebp_next:
.icebp:
    CHECK dword [got_vector], 1
    CHECK dword [got_eip], .icebp_next
    THE_END

    align 8
watched: dd 0, 0
    PM_DATA
    GDT_START
gdt_end:

/*
 * vcpu.c - one thread for each virtual CPU.
 *
 * A thread holds the machine lock except inside cpu_run(). It waits on its condition while the
 * machine does not run or the CPU is halted; who makes work for it (vcpu_request) or changes the
 * run state (vcpus_look) wakes it.
 */
#include <errno.h>
#include <string.h>

#include "emulator/log.h"
#include "emulator/machine.h"
#include "tcg/guest.h"

static _Thread_local unsigned current;

unsigned vcpu_current(void)
{
    return current;
}

static bool may_run(const VCpu *v)
{
    const Machine *m = v->machine;

    return m->state == STATE_RUNNING && !m->holds &&
           !(m->wants & (WANT_RESET | WANT_SHUTDOWN | WANT_QUIT | WANT_DEBUG)) &&
           (m->only_cpu < 0 || m->only_cpu == (int)v->index);
}

static void run_once(VCpu *v)
{
    v->in_run = true;
    machine_unlock();
    RunResult result = cpu_run(v->cpu);
    machine_lock();
    v->in_run = false;
    v->idle = result == RUN_HALTED;
    if (result == RUN_SHUTDOWN) {
        log_trace(TRACE_STATE, "state: CPU %u shut down (triple fault)", v->index);
        machine_want(v->machine, WANT_RESET);
    }
    if (result == RUN_DEBUG) {
        v->machine->debug_cpu = (int)v->index;
        machine_want(v->machine, WANT_DEBUG);
    }
    pthread_cond_broadcast(&v->machine->cpu_left);
}

static void *vcpu_thread(void *opaque)
{
    VCpu *v = opaque;

    current = v->index;
    machine_lock();
    while (!v->machine->ending) {
        if (!may_run(v) || (v->idle && !cpu_has_work(v->cpu)))
            machine_wait(&v->wake);
        else
            run_once(v);
    }
    machine_unlock();
    return NULL;
}

void vcpu_request(VCpu *v, uint32_t req)
{
    cpu_request(v->cpu, req);
    if (!v->in_run)
        pthread_cond_signal(&v->wake);
}

void vcpus_look(Machine *m)
{
    for (unsigned i = 0; i < m->n_cpus; i++) {
        VCpu *v = &m->cpus[i];

        if (v->in_run && !may_run(v))
            cpu_request(v->cpu, CPU_REQ_STOP);
        pthread_cond_signal(&v->wake);
    }
}

static bool any_runs(const Machine *m)
{
    for (unsigned i = 0; i < m->n_cpus; i++)
        if (m->cpus[i].in_run)
            return true;
    return false;
}

void vcpus_hold(Machine *m)
{
    m->holds++;
    vcpus_look(m);
    while (any_runs(m))
        machine_wait(&m->cpu_left);
}

void vcpus_release(Machine *m)
{
    m->holds--;
    vcpus_look(m);
}

int vcpus_init(Machine *m, Error **err)
{
    m->n_cpus = m->config->cpus;
    m->only_cpu = -1;
    m->cpus = calloc(m->n_cpus, sizeof(*m->cpus));
    if (!m->cpus)
        return error_set(err, -ENOMEM, "no memory for CPUs");
    pthread_cond_init(&m->cpu_left, NULL);
    for (unsigned i = 0; i < m->n_cpus; i++) {
        VCpu *v = &m->cpus[i];

        v->machine = m;
        v->index = i;
        pthread_cond_init(&v->wake, NULL);
        v->cpu = tcg_cpu_new(m->tcg, &x86_guest, m->config->cpu, i, err);
        if (!v->cpu)
            return -EINVAL;
    }
    return 0;
}

int vcpus_start(Machine *m, Error **err)
{
    for (unsigned i = 0; i < m->n_cpus; i++) {
        VCpu *v = &m->cpus[i];
        int ret = -pthread_create(&v->thread, NULL, vcpu_thread, v);

        if (ret < 0)
            return error_set(err, ret, "cannot start a CPU's thread: %s", strerror(-ret));
        v->started = true;
    }
    return 0;
}

void vcpus_end(Machine *m)
{
    m->ending = true;
    m->holds++;
    vcpus_look(m);
    for (unsigned i = 0; m->cpus && i < m->n_cpus; i++) {
        VCpu *v = &m->cpus[i];

        machine_unlock();
        if (v->started)
            pthread_join(v->thread, NULL);
        machine_lock();
    }
    for (unsigned i = 0; m->cpus && i < m->n_cpus; i++) { /* now that none of them runs */
        if (m->cpus[i].cpu)
            tcg_cpu_free(m->cpus[i].cpu);
        pthread_cond_destroy(&m->cpus[i].wake);
    }
    free(m->cpus);
    m->cpus = NULL;
    m->n_cpus = 0;
}

/*
 * world.c - CPUs that run side by side, and moments in which only one does.
 *
 * Translated code can be thrown away, and another CPU's TLB changed, only while nobody runs. Every
 * CPU inside cpu_run() comes to a safe point soon after its exit_request was set: all cycles of
 * blocks test it. A CPU that waits for its turn to be alone counts as standing still, so two of
 * them cannot wait for each other.
 */
#include "tcg/core.h"

void world_init(World *w)
{
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
}

void world_destroy(World *w)
{
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
}

void world_enter(Cpu *cpu)
{
    World *w = &cpu->tcg->world;

    if (!tcg_is_smp(cpu->tcg))
        return;
    pthread_mutex_lock(&w->lock);
    while (w->wanted)
        pthread_cond_wait(&w->changed, &w->lock);
    w->running++;
    pthread_mutex_unlock(&w->lock);
}

void world_leave(Cpu *cpu)
{
    World *w = &cpu->tcg->world;

    if (!tcg_is_smp(cpu->tcg))
        return;
    pthread_mutex_lock(&w->lock);
    w->running--;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

void world_safe_point(Cpu *cpu)
{
    if (likely(!atomic_load(&cpu->tcg->world.wanted)))
        return;
    world_leave(cpu);
    world_enter(cpu);
}

void world_stop(Cpu *cpu)
{
    Tcg *tcg = cpu->tcg;
    World *w = &tcg->world;

    if (!tcg_is_smp(tcg))
        return;
    pthread_mutex_lock(&w->lock);
    w->wanted++;
    w->running--;
    pthread_cond_broadcast(&w->changed);
    while (w->owner)
        pthread_cond_wait(&w->changed, &w->lock);
    w->owner = cpu;
    for (unsigned i = 0; i < tcg->n_cpus; i++)
        if (tcg->cpus[i] != cpu)
            atomic_store(&tcg->cpus[i]->exit_request, 1);
    while (w->running)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void world_go(Cpu *cpu)
{
    World *w = &cpu->tcg->world;

    if (!tcg_is_smp(cpu->tcg))
        return;
    pthread_mutex_lock(&w->lock);
    w->owner = NULL;
    w->wanted--;
    w->running++;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

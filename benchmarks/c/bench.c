/* Times the exported decision on recorded answers: bench.py compiles it with -DHEADER and names of one bundle. */
#include P_HEADER

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    int32_t count; /* 0: the candidate failed */
    int32_t labels[P_LISTED];
    float probabilities[P_LISTED];
} answer;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* Reads "count label:probability ..." lines, P_CANDIDATES of each input; prints the steps of all inputs and ns per step. */
int main(int argc, char **argv)
{
    const long inputs = strtol(argv[1], NULL, 10), rounds = strtol(argv[2], NULL, 10);
    const double budget_ms = argc > 3 ? strtod(argv[3], NULL) : 0.0;
    answer *answers = malloc(sizeof(answer) * (size_t)inputs * P_CANDIDATES);
    P_STATE state;
    double best = 1e300, labels = 0;
    long steps = 0, i, k, round;
    for (i = 0; i < inputs * P_CANDIDATES; i++) {
        if (scanf("%d", &answers[i].count) != 1) return 2;
        for (k = 0; k < answers[i].count; k++) {
            if (scanf("%d:%f", &answers[i].labels[k], &answers[i].probabilities[k]) != 2) return 2;
        }
    }
    for (round = 0; round < rounds; round++) {
        const double start = now_ns();
        double taken;
        steps = 0;
        for (i = 0; i < inputs; i++) {
            P_STEP step = P_START(&state, budget_ms, -1.0);
            steps++;
            while (step == P_RUN) {
                const answer *said = &answers[i * P_CANDIDATES + state.candidate];
                step = said->count ? P_LISTED_CALL(&state, said->labels, said->probabilities, said->count) : P_FAILED(&state);
                steps++;
            }
            labels += state.label;
        }
        taken = (now_ns() - start) / (double)steps;
        best = taken < best ? taken : best;
    }
    printf("%ld %.3f %.0f\n", steps, best, labels);
    free(answers);
    return 0;
}

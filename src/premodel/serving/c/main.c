/* Written by premodel export: @title@, as an example.
 *
 *     cc -std=c99 -O2 prefix_main.c prefix.c -lm -o prefix
 *     ./prefix [MAX_LATENCY_MS [COST_WEIGHT]] < recorded.txt
 *
 * Of every input it reads one line per candidate, in the order of prefix_candidate_names: what the candidate answered,
 * as label:probability pairs (labels count from 0, those not named have probability 0), or the word failed. It asks only
 * for those that it would have run, and prints one line:
 *
 *     LABEL CONFIDENCE WHOSE RAN LABEL:PROBABILITY ... NAME
 *
 * WHOSE is the index of a candidate, or -1 for a fused answer; RAN are indices joined by commas. In a program of yours,
 * `recorded` is where a network runs.
 */

#include "prefix.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float answers[PREFIX_CANDIDATES][PREFIX_LABELS];
static int answered[PREFIX_CANDIDATES];

/* Read one line into a distribution: 1, 0 if the candidate failed, -1 at the end of the input, -2 if it is neither. */
static int read_answer(float *distribution)
{
    int c, any = 0;
    long label;
    float probability;
    for (label = 0; label < PREFIX_LABELS; label++) {
        distribution[label] = 0.0f;
    }
    while ((c = getchar()) != EOF && c != '\n') {
        if (isspace(c)) {
            continue;
        }
        ungetc(c, stdin);
        if (!isdigit(c)) {
            char word[8];
            return scanf("%7s", word) == 1 && strcmp(word, "failed") == 0 && !any && getchar() == '\n' ? 0 : -2;
        }
        if (scanf("%ld:%f", &label, &probability) != 2 || label < 0 || label >= PREFIX_LABELS) {
            return -2;
        }
        distribution[label] = probability;
        any = 1;
    }
    return any ? 1 : c == EOF ? -1 : -2;
}

/* Read what every candidate answered to one input: 1, or 0 at the end. */
static int read_input(void)
{
    int candidate;
    for (candidate = 0; candidate < PREFIX_CANDIDATES; candidate++) {
        answered[candidate] = read_answer(answers[candidate]);
        if (answered[candidate] == -1 && candidate == 0) {
            return 0;
        }
        if (answered[candidate] < 0) {
            fprintf(stderr, "a line must be label:probability pairs, or failed; one per candidate\n");
            exit(2);
        }
    }
    return 1;
}

/* What the candidate answers to this input; NULL if it fails. */
static const float *recorded(int candidate)
{
    return answered[candidate] ? answers[candidate] : NULL;
}

int main(int argc, char **argv)
{
    const double max_latency_ms = argc > 1 ? strtod(argv[1], NULL) : 0.0;
    const double cost_weight = argc > 2 ? strtod(argv[2], NULL) : PREFIX_TRAINED;
    prefix_state state;
    while (read_input()) {
        int i;
        prefix_step step = prefix_start(&state, max_latency_ms, cost_weight);
        while (step == PREFIX_RUN) {
            const float *distribution = recorded(state.candidate);
            step = distribution ? prefix_answered(&state, distribution) : prefix_failed(&state);
        }
        if (step == PREFIX_BUDGET_TOO_SMALL) {
            fprintf(stderr, "max_latency_ms must be %.3f or more\n", prefix_least_ms);
            return 2;
        }
        if (step == PREFIX_MISUSE) {
            fprintf(stderr, "max_latency_ms must be 0 or more, cost_weight 0 or more or -1\n");
            return 2;
        }
        if (step == PREFIX_NO_ANSWER) {
            printf("no answer\n");
            continue;
        }
        printf("%ld %.17g %ld ", (long)state.label, state.confidence, (long)state.candidate);
        for (i = 0; i < state.n_ran; i++) {
            printf("%s%ld", i ? "," : "", (long)state.ran[i]);
        }
        for (i = 0; i < state.n_listed; i++) {
            printf(" %ld:%.9g", (long)state.labels[i], (double)state.probabilities[i]);
        }
        printf(" %s\n", prefix_label_names[state.label]);
    }
    return 0;
}

/* Written by premodel export: @title@.
 *
 * Which of several candidates answers an input, and when to stop: give what a candidate answered, get "run candidate k"
 * or "this is the answer". Running the candidates is the caller's; nothing here reads the input.
 *
 *     prefix_state state;
 *     prefix_step step = prefix_start(&state, 0.0, PREFIX_TRAINED);
 *     while (step == PREFIX_RUN) {
 *         const float *distribution = run(state.candidate);       (yours: PREFIX_LABELS probabilities, NULL if it failed)
 *         step = distribution ? prefix_answered(&state, distribution) : prefix_failed(&state);
 *     }
 *     if (step == PREFIX_ANSWER) use(state.label, state.confidence);
 *
 * Policy: @policy@, trained by premodel @version@.
 * Candidates, by index:
@candidates@
 *
 * C99, <math.h> alone (log, exp, log1pf, expf). No allocation, no static data that is written to, no recursion: calls on
 * different states may run at the same time. Compile with -std=c99, or with -ffp-contract=off: a compiler that fuses
 * multiplications and additions decides differently where two values are nearly equal.
 *
 *     state: @state_bytes@ bytes, the caller's
 *     stack: below @stack_bytes@ bytes, and what <math.h> takes
 *     constant data: @table_bytes@ bytes, and @name_bytes@ bytes of names, which a linker may drop
 */

#ifndef PREFIX_H
#define PREFIX_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PREFIX_CANDIDATES = @n_candidates@,
    PREFIX_LABELS = @n_labels@,
    PREFIX_LISTED = @n_listed@, /* labels of an answer, at most */
    PREFIX_KEPT = @n_kept@,   /* answers that the state holds */
    PREFIX_UNION = @n_union@,  /* labels that these can list together */
    PREFIX_FUSED = -1,
    PREFIX_STATE_BYTES = @state_bytes@
};

/* In place of a cost weight: the one that was trained. */
#define PREFIX_TRAINED (-1.0)

typedef enum {
    PREFIX_RUN,              /* run state.candidate, then call answered, listed or failed */
    PREFIX_ANSWER,           /* state holds the answer */
    PREFIX_NO_ANSWER,        /* every candidate that could answer failed */
    PREFIX_BUDGET_TOO_SMALL, /* no candidate keeps max_latency_ms; the least is prefix_least_ms */
    PREFIX_MISUSE            /* a call that was not due, or a budget or weight that is no number; nothing was changed */
} prefix_step;

typedef struct {
    /* To be read. */
    double confidence;                    /* of an answer: estimated probability that it is right */
    int32_t candidate;                    /* to run; of an answer: whose it is, or PREFIX_FUSED */
    int32_t label;                        /* of an answer: the most probable one */
    int32_t n_listed;                     /* of an answer: its labels by falling probability */
    int32_t labels[PREFIX_LISTED];
    float probabilities[PREFIX_LISTED];
    int32_t n_ran;                        /* candidates that answered, in this order */
    int32_t ran[PREFIX_CANDIDATES];
    uint8_t failed[PREFIX_CANDIDATES];    /* 1 for a candidate that failed on this input */
    /* Of the functions below. */
    uint8_t running;
    double max_latency_ms;
    double cost_weight;
    int32_t n_union;
    int32_t n_kept[PREFIX_KEPT];
    int32_t kept_labels[PREFIX_KEPT][PREFIX_LISTED];
    int32_t kept_places[PREFIX_KEPT][PREFIX_LISTED];
    float kept_probabilities[PREFIX_KEPT][PREFIX_LISTED];
    float kept_scores[PREFIX_KEPT][PREFIX_LISTED];
    int32_t union_labels[PREFIX_UNION];
    float union_values[PREFIX_UNION];
} prefix_state;

/* Names in UTF-8, and the least budget that any candidate keeps, in ms. */
extern const char *const prefix_candidate_names[PREFIX_CANDIDATES];
extern const char *const prefix_label_names[PREFIX_LABELS];
extern const double prefix_least_ms;

/* Begin an input. max_latency_ms: budget of this input, end to end by the profile's latencies, 0 for none. cost_weight:
 * accuracy in [0, 1] that one ms is worth, or PREFIX_TRAINED. All models count as open. */
prefix_step prefix_start(prefix_state *state, double max_latency_ms, double cost_weight);

/* The candidate that was to run gave this distribution: PREFIX_LABELS probabilities. One that holds a number outside of
 * [0, 1] by more than 0.001, or the same number for every label, counts as a failure. */
prefix_step prefix_answered(prefix_state *state, const float *distribution);

/* The same, where only its most probable labels are at hand: by falling probability, equal ones by rising label, at most
 * PREFIX_LISTED of them and at least 1. */
prefix_step prefix_listed(prefix_state *state, const int32_t *labels, const float *probabilities, int32_t count);

/* The candidate that was to run failed: it is passed over for this input. */
prefix_step prefix_failed(prefix_state *state);

#ifdef __cplusplus
}
#endif

#endif

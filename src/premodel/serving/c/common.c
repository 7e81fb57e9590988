/* Written by premodel export: @title@. See the header. */

#include "prefix.h"

#include <float.h>
#include <math.h>

typedef char prefix_state_is_as_large_as_stated[sizeof(prefix_state) <= PREFIX_STATE_BYTES ? 1 : -1];

@tables@

/* Where an answer of this candidate is kept. */
static int row_of(int candidate)
{
    return PREFIX_KEPT == PREFIX_CANDIDATES ? candidate : 0;
}

/* Does this candidate alone keep the budget, end to end. */
static int within(const prefix_state *state, int candidate)
{
    return state->max_latency_ms == 0.0 || LATENCY_MS[candidate] + BEFORE_MS <= state->max_latency_ms;
}

static int any_within(const prefix_state *state)
{
    int candidate;
    for (candidate = 0; candidate < PREFIX_CANDIDATES; candidate++) {
        if (within(state, candidate)) {
            return 1;
        }
    }
    return 0;
}

/* Run this candidate next; -1 if there is none. */
static prefix_step run_next(prefix_state *state, int candidate)
{
    state->candidate = candidate;
    state->running = candidate >= 0;
    return candidate >= 0 ? PREFIX_RUN : PREFIX_NO_ANSWER;
}

/* Put a label into a list that is sorted by falling probability, equal ones by rising label. */
static void insert(int32_t *labels, float *probabilities, int32_t *count, int32_t label, float probability)
{
    int32_t place = *count;
    if (place == PREFIX_LISTED) {
        const int32_t last = place - 1;
        if (probability < probabilities[last] || (probability == probabilities[last] && label > labels[last])) {
            return;
        }
        place = last;
    } else {
        ++*count;
    }
    while (place > 0 && (probability > probabilities[place - 1] ||
                         (probability == probabilities[place - 1] && label < labels[place - 1]))) {
        labels[place] = labels[place - 1];
        probabilities[place] = probabilities[place - 1];
        place--;
    }
    labels[place] = label;
    probabilities[place] = probability;
}

/* The answer is what this candidate stated. */
static prefix_step answer_own(prefix_state *state, int candidate, double confidence)
{
    const int row = row_of(candidate);
    int32_t i;
    for (i = 0; i < state->n_kept[row]; i++) {
        state->labels[i] = state->kept_labels[row][i];
        state->probabilities[i] = state->kept_probabilities[row][i];
    }
    state->n_listed = state->n_kept[row];
    state->candidate = candidate;
    state->label = state->labels[0];
    state->confidence = confidence;
    return PREFIX_ANSWER;
}

@rule@
prefix_step prefix_start(prefix_state *state, double max_latency_ms, double cost_weight)
{
    int i;
    if (!(max_latency_ms >= 0.0 && max_latency_ms <= DBL_MAX)) {
        return PREFIX_MISUSE;
    }
    if (!(cost_weight == PREFIX_TRAINED || (cost_weight >= 0.0 && cost_weight <= DBL_MAX))) {
        return PREFIX_MISUSE;
    }
    state->max_latency_ms = max_latency_ms;
    state->cost_weight = cost_weight;
    state->confidence = 0.0;
    state->candidate = -1;
    state->label = -1;
    state->n_listed = 0;
    state->n_ran = 0;
    state->n_union = 0;
    state->running = 0;
    for (i = 0; i < PREFIX_CANDIDATES; i++) {
        state->failed[i] = 0;
    }
    if (!any_within(state)) {
        return PREFIX_BUDGET_TOO_SMALL;
    }
    return decide(state);
}

/* The candidate that runs has answered, and its list is kept. */
static prefix_step note_answer(prefix_state *state)
{
    state->running = 0;
    state->ran[state->n_ran++] = state->candidate;
    note(state, state->candidate);
    return decide(state);
}

prefix_step prefix_answered(prefix_state *state, const float *distribution)
{
    float lowest, highest;
    int row;
    int32_t label;
    if (!state->running) {
        return PREFIX_MISUSE;
    }
    row = row_of(state->candidate);
    lowest = distribution[0];
    highest = distribution[0];
    state->n_kept[row] = 0;
    for (label = 0; label < PREFIX_LABELS; label++) {
        const float given = distribution[label];
        const float kept = given < 0.0f ? 0.0f : given > 1.0f ? 1.0f : given;
        if (!(given >= -0.001f && given <= 1.001f)) {
            return prefix_failed(state);
        }
        lowest = given < lowest ? given : lowest;
        highest = given > highest ? given : highest;
        insert(state->kept_labels[row], state->kept_probabilities[row], &state->n_kept[row], label, kept);
    }
    return lowest == highest ? prefix_failed(state) : note_answer(state);
}

prefix_step prefix_listed(prefix_state *state, const int32_t *labels, const float *probabilities, int32_t count)
{
    int row;
    int32_t i;
    if (!state->running || count < 1 || count > PREFIX_LISTED) {
        return PREFIX_MISUSE;
    }
    row = row_of(state->candidate);
    for (i = 0; i < count; i++) {
        if (labels[i] < 0 || labels[i] >= PREFIX_LABELS || !(probabilities[i] >= 0.0f && probabilities[i] <= 1.0f)) {
            return prefix_failed(state);
        }
        state->kept_labels[row][i] = labels[i];
        state->kept_probabilities[row][i] = probabilities[i];
    }
    state->n_kept[row] = count;
    return note_answer(state);
}

prefix_step prefix_failed(prefix_state *state)
{
    if (!state->running) {
        return PREFIX_MISUSE;
    }
    state->running = 0;
    state->failed[state->candidate] = 1;
    return decide(state);
}

@names@

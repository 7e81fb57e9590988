/* What is kept of an answer: nothing more. */
static void note(prefix_state *state, int candidate)
{
    (void)state;
    (void)candidate;
}

/* The first candidate, or the one of the highest accuracy less the price of its latency; the next best where it failed. */
static prefix_step decide(prefix_state *state)
{
    int candidate, best = -1;
    double highest = 0.0;
    if (state->n_ran > 0) {
        return answer_own(state, state->ran[0], ACCURACY[state->ran[0]]);
    }
    for (candidate = 0; candidate < PREFIX_CANDIDATES; candidate++) {
        double value = ACCURACY[candidate];
        if (state->failed[candidate] || !within(state, candidate)) {
            continue;
        }
        if (state->cost_weight >= 0.0) {
            value -= state->cost_weight * LATENCY_MS[candidate];
        } else if (candidate == 0) {
            best = 0;
            break;
        }
        if (best < 0 || value > highest || (value == highest && LATENCY_MS[candidate] < LATENCY_MS[best])) {
            best = candidate;
            highest = value;
        }
    }
    return run_next(state, best);
}


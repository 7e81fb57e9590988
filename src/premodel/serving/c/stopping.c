/* What is kept of an answer: the logarithmic scores of its labels, and each label's place among all that were listed. */
static void note(prefix_state *state, int candidate)
{
    const int row = row_of(candidate);
    int32_t i;
    for (i = 0; i < state->n_kept[row]; i++) {
        const int32_t label = state->kept_labels[row][i];
        int32_t place = 0;
        while (place < state->n_union && state->union_labels[place] != label) {
            place++;
        }
        if (place == state->n_union) {
            state->union_labels[state->n_union++] = label;
        }
        state->kept_places[row][i] = place;
        state->kept_scores[row][i] = log1pf(state->kept_probabilities[row][i] * SCORE_SCALE[0]);
    }
}

/* The set of candidates that answered. */
static unsigned set_of(const prefix_state *state)
{
    unsigned set = 0;
    int32_t i;
    for (i = 0; i < state->n_ran; i++) {
        set |= 1u << state->ran[i];
    }
    return set;
}

/* Probability of the labels that one candidate's answer is judged by, in the distribution of that candidate alone. */
static double own_top_probability(const prefix_state *state, int candidate)
{
    const int row = row_of(candidate);
    const float weight = WEIGHTS[1u << candidate][candidate];
    const int32_t count = state->n_kept[row];
    float most = 0.0f, top = 0.0f;
    double total = 0.0;
    int32_t i;
    if ((double)weight > SAFE_WEIGHT) {
        for (i = 0; i < count; i++) {
            const float score = state->kept_scores[row][i] * weight;
            most = score > most ? score : most;
        }
    }
    for (i = 0; i < count; i++) {
        const float score = state->kept_scores[row][i] * weight;
        const float raised = expf(score - most);
        total += (double)raised;
        if (i < TOP_N) {
            top += raised;
        }
    }
    total += (double)(PREFIX_LABELS - count) * exp(-(double)most);
    return (double)top / total;
}

/* Write the fused probability of every listed label; gives that of a label that nobody lists. */
static float fuse(prefix_state *state, unsigned set)
{
    float most = 0.0f, rest, whole;
    double weights = 0.0, total;
    int candidate;
    int32_t i;
    for (i = 0; i < state->n_union; i++) {
        state->union_values[i] = 0.0f;
    }
    for (candidate = 0; candidate < PREFIX_CANDIDATES; candidate++) {
        const float weight = WEIGHTS[set][candidate];
        const int row = row_of(candidate);
        if (!(set >> candidate & 1u)) {
            continue;
        }
        weights += (double)weight;
        for (i = 0; i < state->n_kept[row]; i++) {
            const float score = state->kept_scores[row][i] * weight;
            state->union_values[state->kept_places[row][i]] += score;
        }
    }
    if (weights > SAFE_WEIGHT) {
        for (i = 0; i < state->n_union; i++) {
            most = state->union_values[i] > most ? state->union_values[i] : most;
        }
    }
    rest = expf(-most);
    total = (double)(PREFIX_LABELS - state->n_union) * (double)rest;
    for (i = 0; i < state->n_union; i++) {
        state->union_values[i] = expf(state->union_values[i] - most);
        total += (double)state->union_values[i];
    }
    whole = (float)total;
    for (i = 0; i < state->n_union; i++) {
        state->union_values[i] /= whole;
    }
    return rest / whole;
}

/* Probability of the TOP_N most probable labels of the fused distribution together. */
static double fused_top_probability(const prefix_state *state, float rest)
{
    float best[TOP_N];
    float sum = 0.0f;
    int32_t i, n = 0, place;
    if ((int)TOP_N >= (int)PREFIX_LABELS) {
        return 1.0;
    }
    for (i = 0; i < state->n_union; i++) {
        const float value = state->union_values[i];
        if (n == TOP_N && value <= best[n - 1]) {
            continue;
        }
        place = n == TOP_N ? n - 1 : n++;
        while (place > 0 && best[place - 1] < value) {
            best[place] = best[place - 1];
            place--;
        }
        best[place] = value;
    }
    for (i = 0; i < TOP_N; i++) {
        sum += i < n ? best[i] : rest;
    }
    return (double)sum;
}

/* Probability, in the fused distribution, of the labels that one member's answer is judged by. */
static double member_top_probability(const prefix_state *state, int member)
{
    const int row = row_of(member);
    float sum = 0.0f;
    int32_t i;
    for (i = 0; i < TOP_N && i < state->n_kept[row]; i++) {
        sum += state->union_values[state->kept_places[row][i]];
    }
    return (double)sum;
}

static double within_limits(double probability)
{
    return probability < MIN_TOP_PROBABILITY       ? MIN_TOP_PROBABILITY
           : probability > 1 - MIN_TOP_PROBABILITY ? 1 - MIN_TOP_PROBABILITY
                                                   : probability;
}

static double logit(double probability)
{
    const double clipped = within_limits(probability);
    return log(clipped / (1 - clipped));
}

/* The answer is the fused distribution. */
static prefix_step answer_fused(prefix_state *state, float rest, double confidence)
{
    float least = state->n_union < PREFIX_LABELS ? rest : state->union_values[0];
    int32_t i, above = 0;
    for (i = 0; i < state->n_union; i++) {
        least = state->union_values[i] < least ? state->union_values[i] : least;
    }
    for (i = 0; i < state->n_union; i++) {
        above += state->union_values[i] > least;
    }
    state->n_listed = 0;
    for (i = 0; i < state->n_union; i++) {
        /* Where hardly anything is above the labels that nobody lists, all that was listed counts. */
        if (state->union_values[i] > least || above < PREFIX_LISTED) {
            insert(state->labels, state->probabilities, &state->n_listed, state->union_labels[i], state->union_values[i]);
        }
    }
    state->candidate = PREFIX_FUSED;
    state->label = state->labels[0];
    state->confidence = confidence;
    return PREFIX_ANSWER;
}

/* The operating point whose cost weight is nearest in ratio. */
static int point_of(const prefix_state *state)
{
    int i, nearest = 0;
    double wanted, least = 0.0;
    if (state->cost_weight < 0.0) {
        return POINT;
    }
    wanted = log(state->cost_weight > MIN_COST_WEIGHT ? state->cost_weight : MIN_COST_WEIGHT);
    for (i = 0; i < POINTS; i++) {
        const double distance = fabs(LOG_COST_WEIGHT[i] - wanted);
        if (i == 0 || distance < least) {
            nearest = i;
            least = distance;
        }
    }
    return nearest;
}

/* The candidate of the highest value as a start under the budget. */
static prefix_step first(prefix_state *state, int point)
{
    int i, best = -1, level = LEVELS - 1;
    float highest = 0.0f;
    if (state->max_latency_ms != 0.0) {
        const double left_ms = state->max_latency_ms - BEFORE_MS;
        while (level > 0 && BUDGETS[level] > left_ms) {
            level--;
        }
    }
    for (i = 0; i < PREFIX_CANDIDATES; i++) {
        const int candidate = BY_COST[i];
        const float value = START[level * POINTS + point][candidate];
        if (within(state, candidate) && !state->failed[candidate] && (best < 0 || value > highest)) {
            best = candidate;
            highest = value;
        }
    }
    return run_next(state, best);
}

/* Does one more candidate keep the budget, end to end, beside all that ran or failed. */
static int fits(const prefix_state *state, int candidate)
{
    double spent_ms = 0.0;
    int i;
    if (state->max_latency_ms == 0.0) {
        return 1;
    }
    for (i = 0; i < state->n_ran; i++) {
        spent_ms += LATENCY_MS[state->ran[i]];
    }
    for (i = 0; i < PREFIX_CANDIDATES; i++) {
        if (state->failed[i]) {
            spent_ms += LATENCY_MS[i];
        }
    }
    return BEFORE_MS + (spent_ms + LATENCY_MS[candidate]) <= state->max_latency_ms;
}

/* The candidate of the highest continuation value above 0, else the answer. */
static prefix_step decide(prefix_state *state)
{
    const int point = point_of(state);
    const unsigned set = set_of(state);
    int best = -1, member;
    double highest = 0.0, top_probability, sure;
    float rest = 0.0f;
    uint32_t i;
    if (state->n_ran == 0) {
        return first(state, point);
    }
    member = state->n_ran == 1 ? state->ran[0] : MEMBER[set];
    if (state->n_ran == 1) {
        top_probability = own_top_probability(state, member);
    } else {
        rest = fuse(state, set);
        top_probability = member < 0 ? fused_top_probability(state, rest) : member_top_probability(state, member);
    }
    sure = logit(top_probability) / LOGIT_SCALE;
    for (i = NEXT_FROM[(unsigned)point * SETS + set]; i < NEXT_FROM[(unsigned)point * SETS + set + 1]; i++) {
        const int candidate = NEXT_CANDIDATE[i];
        const double value = (double)NEXT_VALUE[i][0] + sure * ((double)NEXT_VALUE[i][1] + sure * (double)NEXT_VALUE[i][2]);
        if (value > highest && !state->failed[candidate] && fits(state, candidate)) {
            best = candidate;
            highest = value;
        }
    }
    if (best >= 0) {
        return run_next(state, best);
    }
    {
        const double odds = CALIBRATION[set][0] + CALIBRATION[set][1] * logit(top_probability);
        const double confidence = odds > -700.0 ? 1 / (1 + exp(-odds)) : 0.0;
        return member >= 0 ? answer_own(state, member, confidence) : answer_fused(state, rest, confidence);
    }
}


// All endpoints: what of them needs attention comes first.

const PHASES = {
    idle: 'Idle',
    progressing: 'Progressing',
    paused: 'Paused',
    halted: 'Halted',
    baking: 'Baking',
};

const HEARTBEAT_MS = 1000;
const RECENT_MS = 24 * 3600 * 1000;

const FILTERS = {
    all: { name: 'All', takes: () => true },
    attention: { name: 'Need attention', takes: (row) => row.attention },
    active: { name: 'In a rollout', takes: (row) => row.phase !== 'idle' },
    idle: { name: 'Idle', takes: (row) => row.phase === 'idle' },
};


// What has been looked at, in this browser: rollouts by endpoint.

const SEEN = `canary-seen ${location.pathname}`;

function seenRollouts() {
    try {
        return JSON.parse(localStorage.getItem(SEEN)) || {};
    } catch (error) {
        return {};
    }
}


function markOf(endpoint) {
    return `${endpoint.last_rollout.id} ${endpoint.last_rollout.ended}`;
}


function markSeen(endpoint) {
    const seen = seenRollouts();

    seen[endpoint.name] = markOf(endpoint);
    localStorage.setItem(SEEN, JSON.stringify(seen));
}


// One that somebody asked for is no news, nor is one that was seen.

function rolledBackLately(endpoint) {
    const last = endpoint.last_rollout;

    return last !== null && last.result === 'rolled_back'
           && last.by !== 'person'
           && Date.now() - Date.parse(last.ended) < RECENT_MS
           && seenRollouts()[endpoint.name] !== markOf(endpoint);
}


// The least time until a rollout has made its canary stable; null: a person
// has to do something.

function secondsLeft(endpoint) {
    const strategy = endpoint.strategy.canary_strategy || {};
    const steps = endpoint.steps.length - endpoint.step;

    if (endpoint.next_step_in_seconds === null
        || (endpoint.phase !== 'progressing' && endpoint.phase !== 'baking'))
    {
        return null;
    }

    return endpoint.next_step_in_seconds
           + (steps > 0 ? (steps - 1) * strategy.progress_interval_seconds
                          + (strategy.bake_seconds || 0) : 0);
}


// What a rule is shown as: none passes on no traffic at all.

function shownVerdict(rule) {
    return rule.verdict === 'passing' && rule.attempts === 0
           ? { text: 'no traffic', class: 'none' }
           : { text: rule.verdict, class: rule.verdict };
}


function hasTraffic(endpoint) {
    return endpoint.served_weight !== null;
}


function phaseBadge(endpoint) {
    return `badge ${endpoint.phase}${hasTraffic(endpoint) ? '' : ' none'}`;
}


// Why somebody should look at it, or null.

function attention(endpoint) {
    const failing = endpoint.rules.find((rule) => rule.verdict === 'failing');
    const waiting = endpoint.waiting_for;

    if (endpoint.durable === false) {
        return 'The state file cannot be written';
    }

    if (endpoint.phase === 'halted') {
        return 'Halted: it waits for you';
    }

    if (failing) {
        return `${ruleName(failing.rule, failing.match)} failing`;
    }

    if (awaitsApproval(endpoint)) {
        return 'Waits for approval';
    }

    if (waiting && (waiting.rule === null
                    || waiting.reason.startsWith('stable breaks')))
    {
        return waiting.reason;
    }

    if (endpoint.phase === 'idle' && rolledBackLately(endpoint)) {
        return `${endpoint.last_rollout.release} was rolled back `
               + ago(endpoint.last_rollout.ended);
    }

    return null;
}


function awaitsApproval(endpoint) {
    return endpoint.waiting_for !== null
           && endpoint.waiting_for.approval === true;
}


// What the next step, or the promotion, needs besides its rules.

function andApproved(strategy, promotes) {
    return strategy.approval === 'step'
           || (strategy.approval === 'promotion' && promotes)
           ? ' and it is approved' : '';
}


// The weight of the next step; null: the next is the promotion.

function nextWeight(endpoint) {
    const weight = endpoint.steps[endpoint.step];

    return weight === undefined ? null : weight;
}


// told: the reason why it waits is said elsewhere

function upcoming(endpoint, told) {
    const last = endpoint.last_rollout;
    const weight = nextWeight(endpoint);
    const waiting = endpoint.waiting_for;
    const seconds = endpoint.next_step_in_seconds;

    if (endpoint.phase === 'idle') {
        return last === null ? 'No rollout yet'
            : `${last.release} was ${last.result.replace('_', ' ')} `
              + ago(last.ended);
    }

    if (endpoint.phase === 'paused') {
        return 'Paused until it is resumed';
    }

    if (endpoint.phase === 'halted') {
        return 'Halted until it is resumed, promoted or rolled back';
    }

    const promotes = endpoint.phase === 'baking' || weight === null;
    const step = promotes ? `${endpoint.canary} becomes stable`
                          : `${percent(weight)}`;

    if (awaitsApproval(endpoint)) {
        return `${step} as soon as it is approved`;
    }

    if (seconds > 0) {
        return `${step} in ${duration(seconds)} if its rules pass`
               + andApproved(endpoint.strategy.canary_strategy, promotes)
               + (waiting && !told ? `: ${waiting.reason}` : '');
    }

    return !waiting ? `${step} at any moment`
        : told ? `${step} waits` : `${step} waits: ${waiting.reason}`;
}


const VERDICTS = ['passing', 'undecided', 'failing'];

function worstRule(endpoint) {
    const badness = (rule) => VERDICTS.indexOf(rule.verdict) * 1e6
        + Math.min(1e5, (rule.value || 0) / (rule.threshold || 1));

    return endpoint.rules.reduce((worst, rule) =>
        worst && badness(worst) >= badness(rule) ? worst : rule, null);
}


// One line of the table. What did not change is not touched.

class Row {
    constructor(name) {
        this.name = name;
        this.badge = element('span');
        this.releases = element('td', { class: 'releases',
                                        'data-label': 'Releases' });
        this.target = element('span', { class: 'target' });
        this.served = element('span', { class: 'quiet' });
        this.fill = element('span', { class: 'fill' });
        this.bar = element('span', { class: 'minibar' }, this.fill);
        this.rule = element('span', { class: 'rule-name' });
        this.value = element('span', { class: 'quiet' });
        this.verdict = element('span');
        this.next = element('td', { class: 'next', 'data-label': 'Next' });

        this.node = element('tr', {},
            element('th', { scope: 'row' },
                element('a', { href: endpointLink(name) }, name)),
            element('td', { 'data-label': 'Phase' }, this.badge),
            this.releases,
            element('td', { class: 'weight', 'data-label': 'Weight' },
                this.bar, this.target, ' ', this.served),
            element('td', { class: 'worst', 'data-label': 'Worst rule' },
                this.verdict, ' ', this.rule, ' ', this.value),
            this.next);
    }

    update(endpoint) {
        const idle = endpoint.phase === 'idle';
        const rule = worstRule(endpoint);

        this.words = [endpoint.name, endpoint.stable, endpoint.canary]
            .join(' ').toLowerCase();
        this.phase = endpoint.phase;
        this.attention = attention(endpoint);

        setClass(this.node, this.attention ? 'attention' : '');
        setClass(this.badge, phaseBadge(endpoint));
        setText(this.badge, PHASES[endpoint.phase] || endpoint.phase);
        setText(this.releases, idle ? endpoint.stable
            : `${endpoint.stable} → ${endpoint.canary}`);

        setHidden(this.bar, idle);
        setStyle(this.fill, 'width', `${endpoint.weight * 100}%`);
        setText(this.target, idle ? NOTHING : percent(endpoint.weight));
        setText(this.served, idle || endpoint.served_weight === null ? ''
            : `served ${percent(endpoint.served_weight)}`);

        setHidden(this.verdict, rule === null);
        setText(this.rule, rule ? ruleName(rule.rule, rule.match) : NOTHING);
        setText(this.value, rule ? `${measured(rule)}, limit ${limit(rule)}`
                                 : '');

        if (rule) {
            const verdict = shownVerdict(rule);

            setClass(this.verdict, `badge ${verdict.class}`);
            setText(this.verdict, verdict.text);
        }

        setText(this.next, this.attention || upcoming(endpoint));
    }

    rank() {
        return this.attention ? 0 : this.phase === 'idle' ? 2 : 1;
    }
}


class Overview {
    constructor(app) {
        this.app = app;
        this.rows = new Map();
        this.moved = new Set();
        this.looking = false;
        this.filter = 'all';
        this.title = 'All endpoints';
        this.body = element('tbody');
        this.empty = element('p', { class: 'empty', hidden: true });
        this.shown = element('p', { class: 'quiet', role: 'status' });

        this.search = element('input', {
            type: 'search', id: 'search', placeholder: 'Name or release',
            oninput: () => this.arrange(), autocomplete: 'off',
        });

        this.buttons = {};

        for (const [key, filter] of Object.entries(FILTERS)) {
            this.buttons[key] = element('button', {
                type: 'button', 'aria-pressed': String(key === this.filter),
                onclick: () => this.choose(key),
            }, filter.name);
        }

        this.node = this.render();
    }

    render() {
        const head = ['Endpoint', 'Phase', 'Releases', 'Weight of the canary',
                      'Worst rule', 'Next'];

        return element('div', { class: 'overview' },
            element('h1', {}, 'Endpoints'),
            element('div', { class: 'tools' },
                element('label', { for: 'search' }, 'Search'), this.search,
                element('div', { class: 'filters', role: 'group',
                                 'aria-label': 'Show' },
                    Object.values(this.buttons)),
                this.shown),
            element('table', { class: 'endpoints' },
                element('caption', { class: 'hidden' }, 'Endpoints'),
                element('thead', {}, element('tr', {}, head.map((name) =>
                    element('th', { scope: 'col' }, name)))),
                this.body),
            this.empty);
    }

    // A list of a thousand costs the server something: less often then.

    interval() {
        return Math.max(1000, this.rows.size * 10);
    }

    async poll() {
        const { endpoints } = await request('GET', 'endpoints');
        const names = new Set();

        for (const endpoint of endpoints) {
            this.take(endpoint);
            names.add(endpoint.name);
        }

        for (const name of this.rows.keys()) {
            if (!names.has(name)) {
                this.rows.delete(name);
            }
        }

        this.arrange();
        this.app.answeredBy(endpoints[0]);

        return endpoints.length
               ? endpoints[0].controller.heartbeat_age_ms : 0;
    }

    take(endpoint) {
        let row = this.rows.get(endpoint.name);

        if (!row) {
            row = new Row(endpoint.name);
            this.rows.set(endpoint.name, row);
        }

        row.update(endpoint);
    }

    choose(filter) {
        this.filter = filter;

        for (const [key, button] of Object.entries(this.buttons)) {
            setAttribute(button, 'aria-pressed', String(key === filter));
        }

        this.arrange();
    }

    arrange() {
        const all = [...this.rows.values()];
        const words = this.search.value.toLowerCase().split(/\s+/);

        const rows = all
            .filter(FILTERS[this.filter].takes)
            .filter((row) => words.every((word) => row.words.includes(word)))
            .sort((a, b) => a.rank() - b.rank()
                            || a.name.localeCompare(b.name, 'en',
                                                    { numeric: true }));

        setChildren(this.body, rows.map((row) => row.node));

        for (const [key, filter] of Object.entries(FILTERS)) {
            setText(this.buttons[key],
                    `${filter.name} ${count(all.filter(filter.takes).length)}`);
        }

        setText(this.shown, rows.length === all.length ? ''
            : `${count(rows.length)} of ${plural(all.length, 'endpoint')}`);

        setHidden(this.empty, rows.length > 0);
        setText(this.empty, all.length ? 'No endpoint is like that.'
            : 'There is no endpoint: no upstream in nginx.conf has '
              + '"canary_release".');
    }

    // Looks at the endpoints that had an event, one by one: many may come.

    async event(event) {
        this.moved.add(event.endpoint);

        if (this.looking) {
            return;
        }

        this.looking = true;

        for (const name of this.moved) {
            this.moved.delete(name);

            try {
                this.take(await request('GET', endpointPath(name)));
            } catch (error) {
                // The next list tells.
            }
        }

        this.looking = false;
        this.arrange();
    }
}

// One endpoint: where its rollout is, what decides it, and what can be done.

const EVENTS_EACH = 5;          // polls


function endpointLink(name) {
    return `#/endpoint/${encodeURIComponent(name)}`;
}


function panel(title, ...children) {
    return element('section', { class: 'panel' },
        element('h2', {}, title), ...children);
}


// The share of the canary, wanted and served.

class Split {
    constructor() {
        this.target = this.bar('Target');
        this.served = this.bar('Served');
        this.node = panel('Traffic', element('div', { class: 'split' },
            this.target.node, this.served.node));
    }

    bar(name) {
        const canary = element('span', { class: 'canary' });
        const stable = element('span', { class: 'stable' });
        const text = element('span', { class: 'share' });
        const track = element('span', { class: 'track',
                                        'aria-hidden': 'true' },
            canary, stable);

        return {
            canary, text,
            node: element('p', { class: 'row' },
                element('span', { class: 'name' }, name), track, text),
        };
    }

    update(endpoint) {
        const idle = endpoint.phase === 'idle';

        setHidden(this.node, idle);

        this.draw(this.target, endpoint, endpoint.weight);
        this.draw(this.served, endpoint, endpoint.served_weight);
    }

    draw(bar, endpoint, weight) {
        setStyle(bar.canary, 'width', `${(weight || 0) * 100}%`);
        setText(bar.text, weight === null ? 'no request in this step yet'
            : `${percent(weight)} ${endpoint.canary}`);
    }
}


// The steps as a track.

class Steps {
    constructor() {
        this.list = element('ol', { class: 'steps' });
        this.items = [];
        this.now = element('p', { class: 'upcoming' });
        this.node = panel('Steps', this.list, this.now);
    }

    update(endpoint) {
        const { steps, step, phase } = endpoint;

        while (this.items.length < steps.length) {
            const text = element('span', { class: 'step' });
            const note = element('span', { class: 'hidden' });

            this.items.push({ node: element('li', {}, text, note),
                              text, note });
        }

        steps.forEach((weight, index) => {
            const item = this.items[index];
            const state = phase === 'idle' ? 'future'
                : index + 1 < step ? 'done'
                : index + 1 === step ? 'current' : 'future';

            setText(item.text, percent(weight));
            setClass(item.node, `${state} ${phase}`);
            setAttribute(item.node, 'aria-current',
                         state === 'current' ? 'step' : null);
            setText(item.note, state === 'done' ? ', done' : '');
        });

        setChildren(this.list, this.items.slice(0, steps.length)
            .map((item) => item.node));
        setText(this.now, this.words(endpoint));
    }

    words(endpoint) {
        const strategy = endpoint.strategy.canary_strategy || {};
        const interval = strategy.progress_interval_seconds;

        if (endpoint.phase !== 'idle') {
            return `Step ${endpoint.step} of ${endpoint.steps.length}`
                   + `${this.left(endpoint)}${this.needed(endpoint)}.`;
        }

        return `The next rollout takes ${plural(endpoint.steps.length,
            'step')}, one each ${duration(interval || 0)}, if every rule `
            + `passes${andApproved(strategy, false)}.`;
    }

    left(endpoint) {
        const seconds = endpoint.next_step_in_seconds;

        return seconds === null ? ''
            : seconds > 0 ? `: ${duration(seconds)} left`
            : ': its time is over';
    }

    needed(endpoint) {
        const needs = endpoint.rules
            .filter((rule) => rule.verdict === 'undecided')
            .map((rule) => rule.needs || 0);
        const most = Math.max(0, ...needs);

        return most ? `, its rules need ${plural(most, 'more clean attempt')}`
                    : '';
    }
}


// Figures of both sides, and their course.

const FIGURES = [
    ['Attempts', 'attempts'], ['2xx', '2xx'], ['4xx', '4xx'], ['5xx', '5xx'],
    ['Failed', 'failed'], ['Timeouts', 'timeouts'], ['Aborted', 'aborted'],
    ['Abandoned', 'abandoned'],
];

const LATENCIES = [
    ['Mean', 'avg'], ['p50', 'p50'], ['p90', 'p90'], ['p99', 'p99'],
];


// What stable finished for the canary, or the other way round.

function rescued(release) {
    return release && release.fallbacks > 0
        ? `${plural(release.fallbacks, 'request')} in all finished by `
          + `${release.name} where another release had failed. ` : '';
}


// After a rollout its release stays on show.

function canaryOnShow(endpoint) {
    const last = endpoint.last_rollout;

    return endpoint.canary
           || (last && last.release !== endpoint.stable
               && endpoint.releases.some((one) => one.name === last.release)
               ? last.release : null);
}


class Releases {
    constructor(history) {
        this.history = history;
        this.stable = this.column();
        this.canary = this.column();
        this.rescued = element('p');
        this.charts = new Charts(history);

        this.node = element('div', { class: 'releases-panel' },
            panel('Stable and canary', this.render(), this.rescued,
                element('p', { class: 'quiet' },
                    'Rates of the last 5 seconds, and in all; latencies of '
                    + 'this step. Aborted before the answer, abandoned in '
                    + 'it: by clients.')),
            panel('Last minutes', this.charts.node));
    }

    column() {
        const column = { role: element('span'), head: element('span'),
                         cells: {} };

        for (const [, key] of [...FIGURES, ...LATENCIES]) {
            column.cells[key] = {
                main: element('span', { class: 'main' }),
                total: element('span', { class: 'quiet' }),
            };
        }

        return column;
    }

    render() {
        const cell = (column, key) => element('td', {},
            column.cells[key].main, ' ', column.cells[key].total);
        const row = (name, key) => element('tr', {},
            element('th', { scope: 'row' }, name),
            cell(this.stable, key), cell(this.canary, key));

        return element('table', { class: 'compare' },
            element('caption', { class: 'hidden' },
                'Figures of stable and canary'),
            element('thead', {}, element('tr', {},
                element('td'),
                element('th', { scope: 'col', class: 'stable' },
                    this.stable.role, ' ', this.stable.head),
                element('th', { scope: 'col', class: 'canary' },
                    this.canary.role, ' ', this.canary.head))),
            element('tbody', {},
                [...FIGURES, ...LATENCIES].map(([name, key]) =>
                    row(name, key))));
    }

    update(endpoint) {
        const byName = (name) =>
            endpoint.releases.find((release) => release.name === name);
        const other = canaryOnShow(endpoint);

        setText(this.stable.role, 'Stable');
        setText(this.canary.role, endpoint.canary || !other ? 'Canary'
                                                            : 'Last canary');
        this.fill(this.stable, endpoint.stable && byName(endpoint.stable));
        this.fill(this.canary, other && byName(other));
        this.charts.draw(endpoint.stable, other);

        const words = rescued(byName(endpoint.stable))
                      + rescued(other && byName(other));

        setHidden(this.rescued, words === '');
        setText(this.rescued, words);
    }

    fill(column, release) {
        setText(column.head, release ? release.name : NOTHING);

        const rates = release && this.history.rates(release.name, -1);
        const totals = release && totalsOf(release);

        for (const [, key] of FIGURES) {
            setText(column.cells[key].main,
                    rates ? `${rate(rates[key])}/s` : NOTHING);
            setText(column.cells[key].total,
                    totals ? `${count(totals[key])} in all` : '');
        }

        for (const [, key] of LATENCIES) {
            setText(column.cells[key].main,
                    milliseconds(release?.latency_ms?.[key]));
        }
    }
}


// How the last rollout went, when it is over.

class Course {
    constructor() {
        this.history = new History();
        this.charts = new Charts(this.history);
        this.title = element('h2');
        this.node = element('section', { class: 'panel', hidden: true },
            this.title, this.charts.node);
    }

    // null: it goes on

    show(history, last) {
        const points = history ? history.points : [];

        setHidden(this.node, points.length === 0);

        if (points.length === 0) {
            return;
        }

        this.history.samples = [];
        this.history.fill(history, { stable: 'stable', canary: 'canary' },
                          Date.parse(last.ended));

        setText(this.title, `How the rollout of ${last.release} ended`);
        this.charts.draw('stable', 'canary', {
            since: clock(points[0].time), until: clock(last.ended),
        });
    }
}


class Failures {
    constructor() {
        this.body = element('tbody');
        this.table = element('div', { class: 'scroll', tabindex: '0',
                                      role: 'region',
                                      'aria-label': 'Failed attempts' },
            element('table', { class: 'failures' },
                element('caption', { class: 'hidden' },
                    'Failed attempts on the canary, newest first'),
                element('thead', {}, element('tr', {},
                    ['Time', 'Request', 'Peer', 'Answer', 'After'].map(
                        (name) => element('th', { scope: 'col' }, name)))),
                this.body));
        this.empty = element('p', { class: 'quiet' }, 'None.');
        this.node = panel('Failed attempts on the canary', this.empty,
                          this.table);
        this.shown = '';
        this.update([]);
    }

    update(failures) {
        const key = JSON.stringify(failures);

        if (key === this.shown) {
            return;
        }

        this.shown = key;
        setHidden(this.empty, failures.length > 0);
        setHidden(this.table, failures.length === 0);

        this.body.replaceChildren(...failures.map((failure) =>
            element('tr', {},
                element('td', {}, clock(failure.time)),
                element('td', { class: 'code' },
                    `${failure.method} ${failure.uri}`),
                element('td', { class: 'code' }, failure.peer || NOTHING),
                element('td', {}, failure.failure
                    || `${failure.status}`),
                element('td', {}, milliseconds(failure.time_ms)))));
    }
}


const HAPPENED = {
    started: 'started',
    step: 'went a step on',
    baking: 'baking',
    promoted: 'promoted',
    rolled_back: 'rolled back',
    halted: 'halted',
    holding: 'holding',
    paused: 'paused',
    resumed: 'resumed',
    changed: 'changed',
    direct: 'made stable at once',
};


// "v2 promoted"

function happened(event) {
    if (event.type === 'stable_unavailable') {
        return `stable unavailable, ${event.release || 'the canary'} serves`;
    }

    if (event.type === 'stable_available') {
        return 'stable available again';
    }

    const what = HAPPENED[event.type] || event.type;

    return event.release ? `${event.release} ${what}` : what;
}


// "Progressing 20 %", "Idle": a weight where there is one.

function point(state) {
    const phase = PHASES[state.phase] || state.phase;

    return state.phase === 'idle' ? phase : `${phase} ${percent(state.weight)}`;
}


class Events {
    constructor() {
        this.events = [];
        this.list = element('ol', { class: 'events' });
        this.empty = element('p', { class: 'quiet' }, 'None yet.');
        this.node = panel('Events', this.empty, this.list);
    }

    get last() {
        return this.events.length ? this.events[0].id : 0;
    }

    // Newer ones, newest first.

    add(events) {
        this.events = [...events, ...this.events].slice(0, 64);
        this.list.prepend(...events.map((event) => this.item(event)));

        while (this.list.children.length > this.events.length) {
            this.list.lastElementChild.remove();
        }

        setHidden(this.empty, this.events.length > 0);
    }

    item(event) {
        const { from, to, actor, figures } = event;
        const rules = figures.rules || [];
        const same = from.phase === to.phase && from.weight === to.weight;
        const move = same ? point(to) : `${point(from)} → ${point(to)}`;

        return element('li', {},
            element('p', { class: 'head' },
                element('time', { datetime: event.time }, clock(event.time)),
                ' ', element('strong', {}, happened(event)), ' ',
                element('span', { class: 'quiet' }, `${move}, by ${actor.name}`
                    + (actor.address ? ` from ${actor.address}` : ''))),
            event.reason ? element('p', { class: 'reason' }, event.reason)
                         : null,
            rules.length ? element('details', {},
                element('summary', {}, 'Figures that decided'),
                element('ul', {}, rules.map((rule) => element('li', {},
                    `${ruleName(rule.rule, rule.match)}: `
                    + `${measured(rule)}, `
                    + `limit ${limit(rule)}, `
                    + `${plural(rule.attempts, 'attempt')}: `
                    + rule.verdict)))) : null);
    }
}


class EndpointView {
    constructor(name, app) {
        this.name = name;
        this.app = app;
        this.title = name;
        this.current = null;
        this.shown = 0;
        this.polls = 0;
        this.history = new History();

        this.phase = element('span', { class: 'badge' });
        this.next = element('p', { class: 'lead' });
        this.facts = element('p', { class: 'quiet' });
        this.warns = element('span');
        this.seen = element('button', {
            type: 'button', onclick: () => this.markSeen(),
        }, 'Mark as seen');
        this.alert = element('p', { class: 'alert', hidden: true },
            this.warns, this.seen);
        this.split = new Split();
        this.steps = new Steps();
        this.rules = new Rules();
        this.releases = new Releases(this.history);
        this.course = new Course();
        this.filled = null;
        this.failures = new Failures();
        this.events = new Events();
        this.actions = new Actions(this);
        this.body = element('div', { hidden: true });
        this.node = this.render();
    }

    render() {
        this.body.append(
            element('div', { class: 'grid' },
                element('div', { class: 'column' },
                    this.split.node, this.steps.node, this.rules.node,
                    this.events.node),
                element('div', { class: 'column' }, this.releases.node,
                        this.course.node)),
            this.failures.node);

        return element('div', { class: 'endpoint' },
            element('p', { class: 'back' },
                element('a', { href: '#/' }, '← All endpoints')),
            element('div', { class: 'heading' },
                element('h1', {}, this.name), this.phase),
            this.next, this.facts, this.alert, this.actions.node, this.body);
    }

    interval() {
        return 1000;
    }

    // What a write answered meanwhile is newer.

    async poll() {
        const before = this.current;
        const shown = this.shown;
        let endpoint;

        try {
            endpoint = await request('GET', endpointPath(this.name));

        } catch (error) {
            if (error.status === 404) {
                this.missing();
                return 0;
            }

            throw error;
        }

        if (this.shown === shown) {
            this.show(endpoint);
        }

        const moved = !before || before.generation !== endpoint.generation;

        if (moved || this.polls++ % EVENTS_EACH === 0) {
            await this.pollLists();
        }

        return endpoint.controller.heartbeat_age_ms;
    }

    async pollLists() {
        const [{ events }, { failures }] = await Promise.all([
            request('GET', endpointPath(this.name, '/events')
                           + (this.events.last
                              ? `?after=${this.events.last}` : '')),
            request('GET', endpointPath(this.name, '/failures')),
        ]);

        this.events.add(events.filter((one) => one.id > this.events.last));
        this.failures.update(failures);
        setText(this.facts, this.factsOf(this.current));

        await this.pollHistory();
    }

    // Once for each rollout that is met, and when it is over.

    async pollHistory() {
        const endpoint = this.current;
        const last = endpoint.last_rollout;
        const idle = endpoint.phase === 'idle';

        // Its last point comes a moment after its end.

        const over = idle && last !== null
                     && Date.now() - Date.parse(last.ended) > 2000;
        const which = `${last ? last.id : 0} ${idle} ${over}`;

        if (which === this.filled) {
            return;
        }

        const first = this.filled === null;
        const history = await request('GET',
                                      endpointPath(this.name, '/history'));

        this.filled = which;
        this.course.show(idle ? history : null, last);

        if (first && !idle) {
            this.history.fill(history, { stable: endpoint.stable,
                                         canary: endpoint.canary });
        }
    }

    show(endpoint) {
        const before = this.current;

        this.shown++;
        this.current = endpoint;
        this.history.add(endpoint);

        setText(this.phase, PHASES[endpoint.phase] || endpoint.phase);
        setClass(this.phase, phaseBadge(endpoint));
        const why = attention(endpoint);

        setText(this.next, this.headline(endpoint, why));
        setText(this.facts, this.factsOf(endpoint));
        this.warn(endpoint, why);
        this.app.answeredBy(endpoint);

        this.split.update(endpoint);
        this.steps.update(endpoint);
        this.rules.update(endpoint);
        this.releases.update(endpoint);
        this.actions.update(endpoint);
        setHidden(this.body, false);

        if (before && before.generation !== endpoint.generation) {
            this.app.announce(`${this.name}: ${PHASES[endpoint.phase]}, `
                              + percent(endpoint.weight));
        }
    }

    // What the alert says is not said twice.

    headline(endpoint, why) {
        if (endpoint.phase === 'idle') {
            return `${endpoint.stable} serves all requests.`
                   + (why ? '' : ` ${upcoming(endpoint)}.`);
        }

        return `${endpoint.canary} replaces ${endpoint.stable}, `
               + `${percent(endpoint.weight)} so far. `
               + `${upcoming(endpoint, why)}.`;
    }

    // When it began, and when it may be over.

    factsOf(endpoint) {
        if (endpoint.phase === 'idle') {
            return '';
        }

        const started = this.events.events.find((event) =>
            event.type === 'started');
        const seconds = secondsLeft(endpoint);
        const facts = [];

        if (started) {
            facts.push(`Started ${ago(started.time)}`);
        }

        if (seconds !== null) {
            facts.push(seconds > 0
                ? `${endpoint.canary} is stable in ${duration(seconds)} at `
                  + 'the earliest' : `${endpoint.canary} may be stable at any `
                  + 'moment');
        }

        return facts.length ? `${facts.join('; ')}.` : '';
    }

    warn(endpoint, why) {
        const back = endpoint.phase === 'idle' && why !== null;

        setHidden(this.alert, why === null);
        setHidden(this.seen, !back);
        setText(this.warns, back ? `${why}: ${endpoint.last_rollout.reason}`
                                 : why || '');
    }

    markSeen() {
        markSeen(this.current);
        this.show(this.current);
    }

    missing() {
        setHidden(this.body, true);
        setHidden(this.alert, false);
        setHidden(this.seen, true);
        setText(this.warns, 'There is no endpoint of this name any more.');
    }

    event(event) {
        if (event.endpoint === this.name) {
            this.app.soon();
        }
    }
}

// What can be done to a rollout. Each is asked back, with what it will do, and
// carried out only on the state that was on show.

const HINT_MS = 8000;
const ALL_BUT_IDLE = ['progressing', 'paused', 'halted', 'baking'];

const VERBS = {
    pause: {
        name: 'Pause', done: 'Paused',
        phases: ['progressing', 'baking'],
        tells: (endpoint) =>
            `${endpoint.canary} keeps ${percent(endpoint.weight)} of the `
            + 'traffic, and the clock of the step stops. The rules go on '
            + 'guarding.',
    },
    resume: {
        name: 'Resume', done: 'Resumed',
        phases: ['paused', 'halted'],
        tells: (endpoint) => endpoint.phase === 'halted'
            ? `A new step begins at ${percent(endpoint.weight)}, with new `
              + 'tests.'
            : 'The clock of the step goes on where it stopped.',
    },
    advance: {
        name: 'Advance', done: 'Advanced',
        phases: ALL_BUT_IDLE,
        tells: advanceTells,
    },
    promote: {
        name: 'Promote', done: 'Promoted',
        phases: ALL_BUT_IDLE,
        tells: promoteTells,
    },
    rollback: {
        name: 'Roll back', done: 'Rolled back', danger: true,
        phases: ALL_BUT_IDLE,
        tells: (endpoint) =>
            `All traffic goes back to ${endpoint.stable} at once, and the `
            + `rollout of ${endpoint.canary} ends.`,
    },
};


// Advance, where the rollout waits for a person.

const APPROVE = {
    ...VERBS.advance, name: 'Approve', done: 'Approved', tells: approveTells,
};


function actionOf(verb, endpoint) {
    return verb === 'advance' && awaitsApproval(endpoint) ? APPROVE
                                                          : VERBS[verb];
}


function approveTells(endpoint) {
    const weight = nextWeight(endpoint);

    return (endpoint.phase === 'baking' || weight === null
        ? `${endpoint.canary} becomes the stable release and gets all `
          + 'traffic. The rollout ends.'
        : `${endpoint.canary} gets ${percent(weight)} of the traffic now, `
          + `instead of ${percent(endpoint.weight)}.`)
        + ' It waits only for this.';
}


function promoteTells(endpoint) {
    return `${endpoint.canary} becomes the stable release at once and gets `
           + 'all traffic, whatever its rules say. The rollout ends.';
}


function advanceTells(endpoint) {
    const weight = nextWeight(endpoint);

    if (endpoint.phase === 'baking' || weight === null) {
        return promoteTells(endpoint);
    }

    return `${endpoint.canary} gets ${percent(weight)} of the traffic now, `
           + `instead of ${percent(endpoint.weight)}, whatever its rules say.`
           + (endpoint.phase === 'paused' ? ' The rollout stays paused.' : '');
}


class Actions {
    constructor(view) {
        this.view = view;
        this.dialog = null;
        this.hint = element('p', { class: 'quiet', role: 'status' });

        this.start = this.button('Start a rollout', () => this.openStart());
        this.start.classList.add('primary');
        this.buttons = {};

        for (const [verb, action] of Object.entries(VERBS)) {
            this.buttons[verb] = this.button(action.name,
                                             () => this.openVerb(verb));
            if (action.danger) {
                this.buttons[verb].classList.add('danger');
            }
        }

        this.node = element('div', { class: 'actions', hidden: true },
            element('div', { class: 'buttons', role: 'group',
                             'aria-label': 'Actions' },
                this.start, Object.values(this.buttons)),
            this.hint);
    }

    // One that does not apply stays within reach of the keyboard, and says
    // why when it is asked.

    button(name, open) {
        const button = element('button', {
            type: 'button',
            onclick: () => {
                if (button.getAttribute('aria-disabled') === 'true') {
                    this.tell(`${name}: ${button.title}`);
                } else {
                    open();
                }
            },
        }, name);

        return button;
    }

    update(endpoint) {
        const idle = endpoint.phase === 'idle';

        setHidden(this.node, false);

        this.enable(this.start, idle ? null
            : `a rollout is under way, it is ${endpoint.phase}`);

        for (const [verb, action] of Object.entries(VERBS)) {
            this.enable(this.buttons[verb],
                action.phases.includes(endpoint.phase) ? null
                    : idle ? 'there is no rollout'
                    : `the rollout is ${endpoint.phase}`);
        }

        setText(this.buttons.advance, actionOf('advance', endpoint).name);

        if (this.dialog && this.dialog.seen !== endpoint.generation) {
            this.dialog.seen = endpoint.generation;
            this.dialog.changed(endpoint);
        }
    }

    enable(button, reason) {
        if (this.view.app.index && !this.view.app.index.write) {
            reason = 'this location can only be read: its canary_api has no '
                     + 'write=on';
        }

        setAttribute(button, 'aria-disabled', reason ? 'true' : null);
        setAttribute(button, 'title', reason);
    }

    openVerb(verb) {
        const action = actionOf(verb, this.view.current);
        const tells = element('p', { class: 'tells' },
                              action.tells(this.view.current));
        const reason = element('input', { id: 'reason', maxlength: '120',
                                          autocomplete: 'off' });

        this.open({
            title: `${action.name} ${this.view.name}?`,
            body: element('div', {}, tells,
                field('Reason', reason, 'Shown in the events; may be empty.')),
            confirm: action.name,
            danger: action.danger,
            onconfirm: () => this.write(`/rollout/${verb}`,
                reason.value.trim() ? { reason: reason.value.trim() } : {},
                action.done),
        }, (endpoint) => {
            if (action.phases.includes(endpoint.phase)) {
                setText(tells, actionOf(verb, endpoint).tells(endpoint));
            }
        });
    }

    openStart() {
        const form = new StartForm(this.view.current);

        this.open({
            title: `Start a rollout of ${this.view.name}`,
            body: form.node, confirm: 'Start',
            onconfirm: () => this.write('/rollout', form.body(), 'Started'),
        });
    }

    open(options, changed) {
        const dialog = new Dialog({
            ...options, onclose: () => { this.dialog = null; },
        });

        dialog.seen = this.view.current.generation;

        dialog.changed = (endpoint) => {
            dialog.tell(`It has changed meanwhile: `
                + `${PHASES[endpoint.phase].toLowerCase()} at `
                + `${percent(endpoint.weight)} now.`);

            if (changed) {
                changed(endpoint);
            }
        };

        this.dialog = dialog;
        dialog.open();
    }

    async write(rest, body, done) {
        let endpoint;

        try {
            endpoint = await this.view.app.asking(() =>
                request('POST', endpointPath(this.view.name, rest), {
                    body, generation: this.dialog.seen,
                }));

        } catch (error) {

            // What there is now comes before it can be tried again.

            if (error.status === 412 || error.status === 409) {
                this.view.app.soon();
            }

            throw error.status === 412
                ? new Refusal(412, 'Nothing was done', 'this page was behind. '
                              + error.message)
                : error;
        }

        this.view.show(endpoint);
        this.tell(endpoint.durable === false
            ? `${done}, but it could not be written to the disk yet.`
            : `${done}.`);
        this.view.app.soon();
    }

    tell(text) {
        setText(this.hint, text);
        clearTimeout(this.timer);
        this.timer = setTimeout(() => setText(this.hint, ''), HINT_MS);
    }
}


// The strategy of a rollout. What is left as in nginx.conf is not sent.

const RULE_HINT = 'Limit: 1% for errors, 250ms for latencies, a number for '
    + 'failed requests. Below it more, as min_requests=50 or confidence=off.';


class StartForm {
    constructor(endpoint) {
        this.endpoint = endpoint;
        this.given = endpoint.strategy.canary_strategy;

        const releases = endpoint.releases
            .filter((release) => release.name !== endpoint.stable);

        this.release = element('select', { id: 'release' },
            releases.map((release) => element('option', {}, release.name)));
        this.direct = element('input', {
            type: 'checkbox', id: 'direct', onchange: () => this.toggle(),
        });
        this.steps = this.input('steps',
            endpoint.steps.map((step) => percent(step).replace(GLUE, ''))
                .join(' '));
        this.interval = this.input('interval',
            String(this.given.progress_interval_seconds));
        this.bake = this.input('bake', String(this.given.bake_seconds));
        this.reason = this.input('reason', '');
        this.rules = element('div', { class: 'rule-rows' });
        this.tells = element('p', { class: 'tells' });

        for (const rule of this.given.rules) {
            this.addRule(rule);
        }

        this.before = this.rulesText();
        this.node = this.render();
        this.toggle();
    }

    input(id, value) {
        const input = element('input', {
            id, autocomplete: 'off', 'aria-describedby': `${id}-hint`,
            oninput: () => this.describe(),
        });

        input.value = value;
        input.given = value;

        return input;
    }

    render() {
        this.release.addEventListener('change', () => this.describe());

        this.plan = element('div', {},
            field('Steps', this.steps,
                  'The share of the canary in each; 100% comes last.'),
            element('div', { class: 'pair' },
                field('Interval', this.interval, 'Seconds between steps.'),
                field('Bake', this.bake, 'Seconds at 100 %.')),
            element('fieldset', {},
                element('legend', {}, 'Rules'), this.rules,
                element('button', { type: 'button',
                                    onclick: () => this.addRule(null) },
                    'Add a rule'),
                element('p', { class: 'quiet' }, RULE_HINT)));

        return element('div', {},
            field('Release', this.release),
            element('p', { class: 'check' }, this.direct, ' ',
                element('label', { for: 'direct' },
                    'All at once, without steps and rules')),
            this.plan,
            field('Reason', this.reason, 'Shown in the events; may be empty.'),
            this.tells);
    }

    toggle() {
        setHidden(this.plan, this.direct.checked);
        this.describe();
    }

    describe() {
        const { stable } = this.endpoint;
        const release = this.release.value;
        const [first] = this.steps.value.trim().split(/[\s,]+/);

        setText(this.tells, this.direct.checked
            ? `${release} becomes the stable release at once and gets all `
              + 'traffic.'
            : `${release} gets ${first || 'a first share'} of the traffic `
              + `of ${stable} now, and more each ${this.interval.value} s if `
              + `every rule passes${andApproved(this.given, false)}. A broken `
              + 'rule '
              + (this.given.on_violation === 'halt' ? 'halts it.'
                 : `sends all traffic back to ${stable}.`));
    }

    addRule(rule) {
        const parameters = rule ? rule.rule_parameters : [];
        const name = element('select', { 'aria-label': 'Rule' },
            Object.entries(RULES).map(([key, text]) =>
                element('option', { value: key }, text)));
        const threshold = element('input', { 'aria-label': 'Limit',
                                             class: 'short',
                                             placeholder: 'limit' });
        const more = element('input', { 'aria-label': 'More parameters',
                                        placeholder: 'more' });

        name.value = rule ? rule.rule : 'error_5xx_rate';
        threshold.value = rule ? thresholdText(rule) : '';
        more.value = parameters.filter((one) => one.name !== 'threshold')
            .map((one) => `${one.name}=${one.value}`).join(' ');

        const row = element('div', { class: 'rule-row' }, name, threshold,
            more, element('button', {
                type: 'button', 'aria-label': 'Remove this rule',
                onclick: () => row.remove(),
            }, '×'));

        row.read = () => ({
            rule: name.value,
            rule_parameters: [
                { name: 'threshold', value: thresholdValue(threshold.value) },
                ...more.value.trim().split(/\s+/).filter(Boolean)
                    .map(readParameter),
            ],
        });

        this.rules.append(row);

        if (!rule) {
            threshold.focus();
        }
    }

    rulesText() {
        return JSON.stringify([...this.rules.children].map((row) =>
            row.read()));
    }

    body() {
        const body = { release: this.release.value };

        if (this.reason.value.trim()) {
            body.reason = this.reason.value.trim();
        }

        if (this.direct.checked) {
            body.strategy = 'direct';
            return body;
        }

        const strategy = this.strategy();

        if (Object.keys(strategy).length) {
            body.canary_strategy = strategy;
        }

        return body;
    }

    strategy() {
        const strategy = {};

        if (this.steps.value !== this.steps.given) {
            strategy.progress_steps = this.steps.value.trim().split(/[\s,]+/)
                .map(readRatio);
        }

        if (this.interval.value !== this.interval.given) {
            strategy.progress_interval_seconds =
                readNumber(this.interval.value);
        }

        if (this.bake.value !== this.bake.given) {
            strategy.bake_seconds = readNumber(this.bake.value);
        }

        if (this.rulesText() !== this.before) {
            strategy.rules = JSON.parse(this.rulesText());
        }

        return strategy;
    }
}


// What is no number is sent as it is: the server says what would be right.

function readNumber(text) {
    const trimmed = text.trim();

    return trimmed === '' || Number.isNaN(Number(trimmed)) ? trimmed
                                                           : Number(trimmed);
}


function readRatio(text) {
    const match = /^([\d.]+)\s*%$/.exec(text.trim());

    return match ? Number((Number(match[1]) / 100).toFixed(9))
                 : readNumber(text);
}


function thresholdText(rule) {
    const value = Number(ruleParameter(rule, 'threshold'));

    if (rule.rule === 'failed_requests_max'
        || (isLatency(rule.rule) && ruleParameter(rule, 'baseline')))
    {
        return String(value);
    }

    return isLatency(rule.rule) ? `${value}ms`
                                : `${Number((value * 100).toFixed(7))}%`;
}


function thresholdValue(text) {
    const time = /^([\d.]+)\s*(ms|s)$/.exec(text.trim());

    if (time) {
        return Number(time[1]) * (time[2] === 's' ? 1000 : 1);
    }

    return readRatio(text);
}


function readParameter(text) {
    const at = text.indexOf('=');

    const name = at < 0 ? text : text.slice(0, at);
    const value = at < 0 ? '' : text.slice(at + 1);

    return { name, value: name === 'match' ? value : readNumber(value) };
}

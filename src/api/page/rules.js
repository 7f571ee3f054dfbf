// Rules as bullets: the value, between which bounds it is, and the limit.

// What the limit is in the unit of the value: that of a rule with a baseline
// moves with stable, which is shown in words only.

function bulletScale(rule) {
    const most = Math.max(rule.value || 0, rule.threshold);

    // Bounds of little evidence are wide: they may go out of the picture.

    return Math.max(rule.threshold * 2, most * 1.1) || 1;
}


// Before anything is known they are from nothing to everything.

function boundsTell(rule) {
    return Array.isArray(rule.bounds) && rule.bounds[0] !== null
           && (rule.attempts > 0 || rule.bounds[0] > 0);
}


class Bullet {
    constructor() {
        this.name = element('h3');
        this.verdict = element('span');
        this.figures = element('p', { class: 'figures' });
        this.bounds = element('span', { class: 'bounds' });
        this.value = element('span', { class: 'value' });
        this.limit = element('span', { class: 'limit' });
        this.track = element('div', { class: 'bullet', 'aria-hidden': 'true' },
            this.bounds, this.value, this.limit);
        this.more = element('p', { class: 'quiet' });

        this.node = element('li', {},
            element('div', { class: 'head' }, this.name, this.verdict),
            this.figures, this.track, this.more);
    }

    update(rule) {
        setText(this.name, ruleName(rule.rule, rule.match));
        setAttribute(this.name, 'title', rule.rule);
        const verdict = shownVerdict(rule);

        setText(this.verdict, verdict.text);
        setClass(this.verdict, `badge ${verdict.class}`);
        setClass(this.node, `rule ${verdict.class}`);

        setText(this.figures, `${measured(rule)}, limit ${limit(rule)}`);
        setText(this.more, this.words(rule));
        this.draw(rule);
    }

    words(rule) {
        const words = [rule.attempts === 0 ? 'No attempt in this step yet'
            : `${plural(rule.attempts, 'attempt')} in this step`];

        if (boundsTell(rule)) {
            words.push(`proven to be from ${figure(rule, rule.bounds[0])} to `
                + (rule.bounds[1] === null ? 'anything'
                                           : figure(rule, rule.bounds[1])));
        }

        if (rule.verdict === 'undecided' && rule.needs > 0) {
            words.push(`needs ${plural(rule.needs, 'more clean attempt')}`);
        }

        return `${words.join('; ')}.`;
    }

    draw(rule) {
        setHidden(this.track, rule.baseline === 'stable');

        const scale = bulletScale(rule);
        const place = (value) =>
            `${Math.min(100, 100 * value / scale).toFixed(2)}%`;
        const [low, high] = boundsTell(rule) ? rule.bounds : [null, null];

        setStyle(this.limit, 'left', place(rule.threshold));
        setHidden(this.value, measured(rule) === NOTHING);
        setStyle(this.value, 'width', place(rule.value || 0));
        setHidden(this.bounds, low === null);
        setStyle(this.bounds, 'left', place(low || 0));
        setStyle(this.bounds, 'right',
                 `${100 - parseFloat(place(high === null ? scale : high))}%`);
    }
}


class Rules {
    constructor() {
        this.bullets = [];
        this.list = element('ul', { class: 'rules' });
        this.empty = element('p', { class: 'quiet' });
        this.node = element('section', { class: 'panel' },
            element('h2', {}, 'Rules'), this.list, this.empty);
    }

    update(endpoint) {
        const rules = endpoint.rules;

        while (this.bullets.length < rules.length) {
            this.bullets.push(new Bullet());
        }

        rules.forEach((rule, index) => this.bullets[index].update(rule));

        setChildren(this.list, rules.map((rule, index) =>
            this.bullets[index].node));
        setHidden(this.list, rules.length === 0);
        setHidden(this.empty, rules.length > 0);
        setText(this.empty, this.idle(endpoint));
    }

    idle(endpoint) {
        const rules = endpoint.strategy.canary_strategy
                      && endpoint.strategy.canary_strategy.rules || [];

        if (!rules.length) {
            return 'nginx.conf has none for this endpoint: a rollout has to '
                   + 'bring its own.';
        }

        return `The next rollout begins with: ${rules.map((rule) =>
            strategyRuleText(rule)).join('; ')}.`;
    }
}


function ruleParameter(rule, name) {
    const found = rule.rule_parameters.find((one) => one.name === name);

    return found ? found.value : null;
}


function strategyRuleText(rule) {
    const bare = {
        rule: rule.rule,
        threshold: Number(ruleParameter(rule, 'threshold')),
        baseline: ruleParameter(rule, 'baseline'),
    };

    const name = ruleName(rule.rule, ruleParameter(rule, 'match'));

    return `${name} at most ${limit(bare)}`;
}

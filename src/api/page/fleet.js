// The machines that are one: a strip above all views, where there is a fleet.

const ALONE = {
    joining: 'has not joined yet, and serves stable',
    isolated: 'does not reach the fleet: it takes no step, and accepts only '
              + 'what stops a rollout. What you see of others is old',
    kept_out: 'is kept out, since another node has its name, and serves stable',
};


const NODES = {
    leader: 'badge passing',
    live: 'badge passing',
    silent: 'badge undecided',
    gone: 'badge failing',
};


class FleetStrip {
    constructor() {
        this.text = element('span', { class: 'fleet-name' });
        this.list = element('ul', { class: 'nodes' });
        this.alone = element('strong', { role: 'alert' });
        this.node = element('div', { class: 'fleet', hidden: true,
                                     role: 'group', 'aria-label': 'Fleet' },
            this.text, this.list, this.alone);
        this.items = new Map();
    }

    show(fleet) {
        setHidden(this.node, fleet === null);

        if (fleet === null) {
            return;
        }

        const alone = ALONE[fleet.state];

        setClass(this.node, alone ? 'fleet bad' : 'fleet');
        setText(this.text, `Fleet ${fleet.name}, version ${fleet.version}`);
        setText(this.alone, alone ? `${fleet.node} ${alone}.` : '');

        setChildren(this.list, [...fleet.nodes]
            .sort((a, b) => a.name.localeCompare(b.name, 'en'))
            .map((node) => this.item(fleet, node)));
    }

    item(fleet, node) {
        if (!this.items.has(node.name)) {
            this.items.set(node.name, element('li'));
        }

        const item = this.items.get(node.name);
        const own = fleet.node === node.name ? ' (this one)' : '';
        const seen = node.state === 'silent' || node.state === 'gone'
            ? ` for ${duration(Math.floor(node.age_ms / 1000))}` : '';
        const behind = node.version < fleet.version
            ? `, at version ${node.version}` : '';
        const lacks = node.lacks.length ? ', lacks something' : '';

        setClass(item, NODES[node.state]);
        setText(item, `${node.name}${own}: ${node.state}${seen}${behind}`
                      + lacks);
        setAttribute(item, 'title', [node.address, ...node.lacks.map(
            (lack) => `lacks ${lack}`)].join('\n'));

        return item;
    }
}

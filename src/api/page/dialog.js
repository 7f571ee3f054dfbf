// Questions: what will be done, and what came of it.

let dialogs = 0;


class Dialog {
    // onconfirm: what is done; it rejects with a Refusal that is shown here.

    constructor({ title, body, confirm, danger, onconfirm, onclose }) {
        const id = `dialog-${++dialogs}`;

        this.onconfirm = onconfirm;
        this.error = element('div', { class: 'error', role: 'alert' });
        this.note = element('p', { class: 'note', role: 'status' });

        this.confirm = element('button', {
            type: 'submit', class: danger ? 'danger' : 'primary',
        }, confirm);

        this.form = element('form', {
            onsubmit: (event) => {
                event.preventDefault();
                this.submit();
            },
        },
            element('h2', { id }, title), body,
            this.note, this.error,
            element('div', { class: 'buttons' },
                element('button', {
                    type: 'button', onclick: () => this.node.close(),
                }, 'Cancel'),
                this.confirm));

        this.node = element('dialog', {
            'aria-labelledby': id,
            onclose: () => {
                this.node.remove();

                if (onclose) {
                    onclose();
                }
            },
        }, this.form);
    }

    open() {
        document.body.append(this.node);
        this.node.showModal();
    }

    // What was refused before was about something else.

    tell(text) {
        this.error.replaceChildren();
        setText(this.note, text);
    }

    async submit() {
        if (this.confirm.disabled) {
            return;
        }

        this.confirm.disabled = true;
        this.error.replaceChildren();

        try {
            await this.onconfirm();
            this.node.close();

        } catch (error) {
            this.refused(error);

        } finally {
            this.confirm.disabled = false;
        }
    }

    refused(error) {
        const errors = error.errors || [];

        this.error.replaceChildren(
            element('p', {}, element('strong', {}, error.title || 'Error'),
                    errors.length ? '' : `: ${error.message}`),
            element('ul', {}, errors.map((one) =>
                element('li', {}, `${one.pointer || '/'} ${one.detail}`))));
    }
}


function field(name, input, hint) {
    return element('div', { class: 'field' },
        element('label', { for: input.id }, name), input,
        hint ? element('p', { class: 'quiet', id: `${input.id}-hint` }, hint)
             : null);
}


// Asked for once; it is kept until the tab is closed.

function askToken(why) {
    return new Promise((resolve) => {
        const input = element('input', {
            id: 'token', type: 'password', autocomplete: 'off',
            required: true, spellcheck: 'false',
        });

        const dialog = new Dialog({
            title: 'Token', confirm: 'Use it',
            body: element('div', {},
                element('p', {}, `${why} It is kept for this tab only.`),
                field('Token', input)),
            onconfirm: async () => {
                sessionStorage.setItem(TOKEN, input.value.trim());
            },
            onclose: resolve,
        });

        dialog.open();
    });
}

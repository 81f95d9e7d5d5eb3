// Who is enrolled, with their templates; forgetting them, and the receipt of that.
import { confirmed } from "./confirming.js";
import { button, make, show } from "./elements.js";
import { day, localDay, moment, whole } from "./numbers.js";
import { Part } from "./part.js";
import { ask } from "./server.js";
import { say } from "./words.js";

const GONE = ["version_conflict", "no_such_person", "no_such_template"]; // somebody else was quicker

export class People extends Part {
  constructor(gallery) {
    super();
    Object.assign(this, { gallery, people: [], next: null, totals: null, receipt: null, open: new Set() });
    Object.assign(this, { told: make("div", { role: "status" }), list: make("div", {}) });
    const title = make("h2", { id: "people-title", tabindex: "-1", "data-text": "gallery.people" }, say("gallery.people"));
    this.title = title;
    const named = { class: "card", "aria-labelledby": "people-title" };
    this.element = make("section", named, title, this.said, this.told, this.trouble, this.list);
  }

  opened() {
    Object.assign(this, { people: [], next: null, totals: null, receipt: null });
    this.open.clear();
    this.clear();
    this.render();
    this.load();
  }

  load() {
    return this.attempt(async () => {
      const { url } = this.gallery;
      const [totals, page] = await Promise.all([url, `${url}/people`].map((each) => ask(each, this.asking)));
      Object.assign(this, { totals, people: page.people, next: page.next });
      this.render();
    });
  }

  more() {
    return this.attempt(async () => {
      const page = await ask(`${this.gallery.url}/people?cursor=${encodeURIComponent(this.next)}`, this.asking);
      Object.assign(this, { people: [...this.people, ...page.people], next: page.next });
      this.render();
    });
  }

  get asking() {
    return { signal: this.gallery.signal, waiting: this.waiting };
  }

  urlOf(person) {
    return `${this.gallery.url}/people/${encodeURIComponent(person.id)}`;
  }

  forgetPerson(person) {
    const title = say("gallery.forgetTitle", { person: person.id });
    return this.forget(this.urlOf(person), person, { title, text: say("gallery.forgetWhy", { n: person.templates.length }) });
  }

  forgetTemplate(person, template) {
    const title = say("gallery.forgetTemplateTitle", { person: person.id });
    const text = say("gallery.forgetTemplateWhy", { when: moment(template.enrolled_at) });
    return this.forget(`${this.urlOf(person)}/templates/${template.id}`, person, { title, text });
  }

  async forget(url, { etag }, words) {
    if (!(await confirmed({ ...words, act: say("gallery.forget") }))) return;
    const act = async () => {
      this.receipt = await ask(url, { method: "DELETE", headers: { "If-Match": etag }, ...this.asking });
      this.tell(() => "");
      this.render();
      this.title.focus({ preventScroll: true }); // the button that had it is gone
      await this.gallery.changed();
    };
    await this.attempt(act, { settle: (problem) => this.readAgain(problem) });
  }

  readAgain({ code }) {
    if (!GONE.includes(code)) return false;
    this.tell(() => say("gallery.changedMeanwhile"), "ask");
    this.load();
    return true;
  }

  render() {
    super.render();
    show(this.told, this.receipt ? receiptOf(this.receipt) : null);
    show(
      this.list,
      this.totals ? make("p", { class: "lead" }, this.summary()) : null,
      this.people.length > 0 ? make("ul", { class: "people" }, this.people.map((person) => this.entry(person))) : null,
      this.next ? button("more", () => this.more(), say("gallery.more")) : null,
    );
  }

  summary() {
    const { n_people: n, n_templates: templates } = this.totals;
    const total = Object.values(templates).reduce((sum, each) => sum + each, 0);
    return n === 0 ? say("gallery.empty") : say("gallery.totals", { n: whole(n), templates: whole(total) });
  }

  entry(person) {
    const key = `person-${person.id}`;
    const remember = ({ target }) => (target.open ? this.open.add(person.id) : this.open.delete(person.id));
    const n = make("span", { class: "fine" }, say("gallery.nTemplates", { n: whole(person.templates.length) }));
    const add = button(`add-${key}`, () => this.gallery.enrolment.begin(person.id), say("gallery.addTo"), person.id);
    const forget = button(`forget-${key}`, () => this.forgetPerson(person), say("gallery.forgetPerson"), person.id);
    forget.classList.add("danger");
    const details = make(
      "details",
      { open: this.open.has(person.id), ontoggle: remember },
      make("summary", { "data-key": key }, make("strong", {}, person.id), " ", n),
      factsOf(person),
      make("ul", { class: "templates" }, person.templates.map((template, k) => this.template(person, template, k + 1))),
      make("div", { class: "row" }, add, forget),
    );
    return make("li", {}, details);
  }

  template(person, template, number) {
    const isOther = this.gallery.about.card && this.gallery.about.card.digest !== template.model_digest;
    const name = say("gallery.templateName", { number });
    const other = isOther ? make("strong", {}, ` ${say("gallery.otherModel")}`) : null;
    const forget = () => this.forgetTemplate(person, template);
    const words = make("span", {}, `${name}, ${moment(template.enrolled_at)}`, other);
    return make("li", {}, words, button(`forget-${template.id}`, forget, say("gallery.forgetTemplate"), `${person.id}, ${name}`));
  }
}

function factsOf({ note, consent, forget_at: forgetAt }) {
  const agreed = consent && say("gallery.consentGiven", { reference: consent.reference, day: day(consent.given_on) });
  const rows = [
    [say("gallery.consent"), agreed ?? say("gallery.noConsent")],
    forgetAt ? [say("gallery.forgetOn"), localDay(forgetAt)] : null,
    note ? [say("gallery.note"), note] : null,
  ];
  const row = ([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
  return make("dl", { class: "facts" }, rows.filter(Boolean).map(row));
}

function receiptOf({ forgotten_at: when, n_people: people, n_templates: templates, request_id: id }) {
  const words = say("gallery.receipt", { when: moment(when), people: whole(people), templates: whole(templates) });
  return make("div", { class: "receipt" }, make("p", {}, words), make("p", { class: "fine" }, "id ", make("code", {}, id)));
}

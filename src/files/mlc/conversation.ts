/**
 * WebLLM's fixed form of a conversation (`conv_template`) against Hugging Face's templates, which are programs: the form is found by
 * rendering conversations whose texts are marked, and held against the template on others; the way back is a small program.
 */
export interface ConvTemplate {
  name: string;
  system_template: string;
  system_message: string;
  system_prefix_token_ids: number[] | null;
  add_role_after_system_message: boolean;
  /** WebLLM's own field: false leaves the system part out where the message is empty. */
  render_empty_system_message: boolean;
  roles: Record<'user' | 'assistant' | 'tool', string>;
  role_templates: Record<'user' | 'assistant' | 'tool', string>;
  messages: [];
  /** What stands behind a question, and behind an answer. */
  seps: [string, string];
  role_content_sep: string;
  role_empty_sep: string;
  stop_str: string[];
  stop_token_ids: number[];
}

export interface Turn {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/** The text of a conversation as its model saw it; not `answered`: up to where an answer begins. */
export type Render = (turns: readonly Turn[], answered: boolean) => string;

interface Special {
  id: number;
  token: string;
}

const [SYSTEM, FIRST, ANSWER, SECOND] = ['Xsystemx', 'Xfirstx', 'Xanswerx', 'Xsecondx'] as const;
const user = (content: string): Turn => ({ role: 'user', content });
const assistant = (content: string): Turn => ({ role: 'assistant', content });
const system = (content: string): Turn => ({ role: 'system', content });
const SLOT = '{system_message}';

/**
 * @param render the model's template
 * @returns `exact`: whether the form gives the template's own text for conversations of up to two rounds, with and without a
 *   system message. What no fixed form can do (dates, tools, conditions on a text) is not seen by that
 */
export function conversationOf(
  render: Render,
  o: { name: string; bos: Special | null; ends: readonly number[] },
): { template: ConvTemplate; exact: boolean } {
  const alone = render([user(FIRST)], false);
  const afterUser = behind(render([user(FIRST)], true), FIRST);
  const opening = without(behind(alone, FIRST), afterUser);
  const afterAnswer = behind(render([user(FIRST), assistant(ANSWER)], true), ANSWER);
  const rounds = render([user(FIRST), assistant(ANSWER), user(SECOND)], false);
  const beforeAnswer = without(between(rounds, FIRST, ANSWER), afterUser);
  const beforeUser = without(between(rounds, ANSWER, SECOND), afterAnswer);
  const before = alone.slice(0, Math.max(0, alone.indexOf(FIRST)));
  const lead = before.endsWith(beforeUser) ? before.slice(0, before.length - beforeUser.length) : before;
  const part = systemPart(render, beforeUser, lead);
  const bos = o.bos && part.text.startsWith(o.bos.token) ? o.bos : null;
  const text = bos ? part.text.slice(bos.token.length) : part.text;
  const shared = beforeAnswer.startsWith(opening);
  const template: ConvTemplate = {
    name: o.name,
    system_template: text,
    system_message: part.message,
    system_prefix_token_ids: bos ? [bos.id] : null,
    add_role_after_system_message: part.roleFollows,
    render_empty_system_message: part.always,
    roles: { user: beforeUser, assistant: opening, tool: beforeUser },
    role_templates: {
      user: '{user_message}',
      assistant: `${shared ? beforeAnswer.slice(opening.length) : ''}{assistant_message}`,
      tool: '{tool_message}',
    },
    messages: [],
    seps: [afterUser, afterAnswer],
    role_content_sep: '',
    role_empty_sep: '',
    stop_str: [],
    stop_token_ids: [...o.ends],
  };
  return { template, exact: agrees(render, template, o.bos) };
}

/** What stands before the first question: with the template's own system message, or none. */
function systemPart(
  render: Render,
  beforeUser: string,
  lead: string,
): { text: string; message: string; roleFollows: boolean; always: boolean } {
  const none = { text: lead, message: '', roleFollows: true, always: true };
  const given = attempt(render, [system(SYSTEM), user(FIRST)]);
  if (given === null || !given.includes(SYSTEM) || given.indexOf(FIRST) < given.indexOf(SYSTEM)) return none;
  const before = given.slice(0, given.indexOf(FIRST));
  const roleFollows = before.endsWith(beforeUser);
  const text = roleFollows ? before.slice(0, before.length - beforeUser.length) : before;
  const [head, tail] = text.split(SYSTEM) as [string, string];
  const slot = { text: `${head}${SLOT}${tail}`, roleFollows };
  if (lead.length >= head.length + tail.length && lead.startsWith(head) && lead.endsWith(tail))
    return { ...slot, message: lead.slice(head.length, lead.length - tail.length), always: true };
  return { ...slot, message: '', always: false };
}

/** The text that WebLLM makes of a conversation (getPromptArray, 0.2.86), the first tokens written out. */
export function renderConversation(
  c: ConvTemplate,
  turns: readonly Turn[],
  bos: Special | null,
  answered = false,
): string {
  const given = turns[0]?.role === 'system' ? turns[0].content : null;
  const rest = given === null ? turns : turns.slice(1);
  const message = given ?? c.system_message;
  // a function, because replace reads `$` in a text
  const shown =
    message === '' && !c.render_empty_system_message ? '' : c.system_template.replace(SLOT, () => message);
  let text = (c.system_prefix_token_ids ? (bos?.token ?? '') : '') + shown;
  rest.forEach(({ role, content }, i) => {
    const who = role === 'assistant' ? 'assistant' : 'user';
    const silent = i === 0 && shown !== '' && !c.add_role_after_system_message;
    const body = c.role_templates[who].replace(`{${who}_message}`, () => content);
    text += (silent ? '' : c.roles[who] + c.role_content_sep) + body + c.seps[i % 2];
  });
  return answered ? text : text + c.roles.assistant + c.role_empty_sep;
}

const CONVERSATIONS: readonly (readonly Turn[])[] = [
  [user('What is this?')],
  [user('What is this?'), assistant('It is a test.'), user('And that?')],
  [system('Be short.'), user('What is this?')],
  [system('Be short.'), user('What is this?'), assistant('It is a test.'), user('And that?')],
];

function agrees(render: Render, template: ConvTemplate, bos: Special | null): boolean {
  return CONVERSATIONS.every((turns) => {
    const wanted = attempt(render, turns);
    if (wanted === null) return true; // it refuses this one, and nobody asks it
    const ignores = turns[0]!.role === 'system' && !wanted.includes(turns[0]!.content);
    return renderConversation(template, ignores ? turns.slice(1) : turns, bos) === wanted;
  });
}

function attempt(render: Render, turns: readonly Turn[]): string | null {
  try {
    return render(turns, false);
  } catch {
    return null;
  }
}

const behind = (text: string, mark: string): string => text.slice(text.lastIndexOf(mark) + mark.length);
const between = (text: string, from: string, to: string): string => {
  const start = text.indexOf(from) + from.length;
  return text.slice(start, Math.max(start, text.indexOf(to, start)));
};
const without = (text: string, start: string): string =>
  text.startsWith(start) ? text.slice(start.length) : text;

/**
 * The same conversation as a template in Hugging Face's language (Jinja), for a bundle that brings no other.
 * @param token the spelling of a token by its id; '' where it is not known
 */
export function jinjaOf(c: ConvTemplate, token: (id: number) => string): string {
  const text = (s: string): string => JSON.stringify(s);
  const first = (c.system_prefix_token_ids ?? []).map(token).join('');
  const [head, tail = null] = c.system_template.split(SLOT);
  const shown = tail === null ? text(head!) : `${text(head!)} + system + ${text(tail)}`;
  const condition = c.render_empty_system_message ? 'true' : "system != ''";
  const turn = (who: 'user' | 'assistant', sep: string): string => {
    const [before, after = ''] = c.role_templates[who].split(`{${who}_message}`);
    return `${text(before!)} + message['content'] + ${text(after + sep)}`;
  };
  const role = (who: 'user' | 'assistant'): string => text(c.roles[who] + c.role_content_sep);
  const opening = c.add_role_after_system_message
    ? `{{ ${role('user')} }}`
    : `{% if not (loop.first and ${condition}) %}{{ ${role('user')} }}{% endif %}`;
  return [
    first === '' ? '' : `{{ ${text(first)} }}`,
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set turns = messages[1:] %}",
    `{% else %}{% set system = ${text(c.system_message)} %}{% set turns = messages %}{% endif %}`,
    `{% if ${condition} %}{{ ${shown} }}{% endif %}`,
    `{% for message in turns %}{% if message['role'] == 'assistant' %}{{ ${role('assistant')} + ${turn('assistant', c.seps[1])} }}`,
    `{% else %}${opening}{{ ${turn('user', c.seps[0])} }}{% endif %}{% endfor %}`,
    `{% if add_generation_prompt %}{{ ${text(c.roles.assistant + c.role_empty_sep)} }}{% endif %}`,
  ].join('');
}

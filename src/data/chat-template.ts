import { LabError } from '../core/errors.ts';
import { BudgetError, parseTemplate, renderTemplate } from './bounded-template.ts';
import type { TextTokenizer } from './hf-tokenizer.ts';

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

/**
 * For models that bring no template: a transcript in plain words, because a base model has seen such texts and knows no
 * markers. What it answers after its turn is whatever it likes to continue with.
 */
export const DEFAULT_TEMPLATE =
  "{% if bos_token %}{{ bos_token }}{% endif %}{% for message in messages %}{% if message['role'] == 'system' %}" +
  "{{ message['content'] + '\\n\\n' }}{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}" +
  "{% else %}{{ 'Assistant: ' + message['content'] + '\\n' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

const field = (x: unknown, name: string): unknown =>
  typeof x === 'object' && x !== null ? (x as Record<string, unknown>)[name] : undefined;

/**
 * The model's own template: the file chat_template.jinja before `chat_template` of tokenizer_config.json, which is a text or a
 * list of named ones of which "default" counts. Null where there is none.
 */
export function findTemplate(tokenizerConfig: unknown, jinja?: string): string | null {
  if (jinja !== undefined) return jinja;
  const given = field(tokenizerConfig, 'chat_template');
  if (typeof given === 'string') return given;
  if (!Array.isArray(given)) return null;
  const named: unknown = given.find((one) => field(one, 'name') === 'default');
  const text = field(named, 'template');
  return typeof text === 'string' ? text : null;
}

function hostile(cause: BudgetError): LabError {
  return new LabError('corrupt-model', `The model's chat template was stopped: ${cause.message}.`, {
    safe: 'Nothing was changed.',
    next: 'Use the model without its template, or take tokenizer_config.json from its source again.',
    cause,
  });
}

/** Turns a conversation into ids as the model saw conversations in its training. */
export class ChatTemplate {
  /** `default`: the model has none, and DEFAULT_TEMPLATE is used. */
  readonly source: 'model' | 'default';
  private readonly program: ReturnType<typeof parseTemplate>;

  /** @throws LabError 'corrupt-model' when the text is no template, or larger than any in use */
  constructor(text: string | null) {
    this.source = text === null ? 'default' : 'model';
    try {
      this.program = parseTemplate(text ?? DEFAULT_TEMPLATE);
    } catch (cause) {
      if (cause instanceof BudgetError) throw hostile(cause);
      throw new LabError('corrupt-model', "The model's chat template cannot be read.", {
        safe: 'Nothing was loaded.',
        next: 'Use the model without its template, or take tokenizer_config.json from its source again.',
        cause,
      });
    }
  }

  /**
   * The text around and of a conversation, up to where an answer begins, or to its end where it has its answer.
   * @param now for a template that writes the date
   * @throws LabError 'bad-input' with the template's own words when it refuses these messages, 'corrupt-model' when it does
   * not end within bounded work
   */
  render(
    messages: readonly ChatMessage[],
    tokenizer: TextTokenizer,
    answered = false,
    now = new Date(),
  ): string {
    const variables = {
      messages: messages.map((m) => ({ ...m })),
      add_generation_prompt: !answered,
      bos_token: tokenizer.bos?.token ?? '',
      eos_token: tokenizer.eos?.token ?? '',
    };
    try {
      return renderTemplate(this.program, variables, now);
    } catch (cause) {
      if (cause instanceof BudgetError) throw hostile(cause);
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new LabError('bad-input', `The model's chat template refuses this conversation: ${why}`, {
        safe: 'Nothing was changed.',
        next: 'Ask with other roles or turns, or use the model without its template.',
        cause,
      });
    }
  }

  /**
   * Ids of a conversation. Special tokens that stand in a message's text stay text, so that nobody ends a turn or speaks as
   * the system by writing its marker; `recognise` lifts that. Markers that a template writes in ordinary tokens, as TinyLlama's
   * <|user|>, cannot be told from a text that has the same letters.
   * @param o.until 'answer' (default): where an answer begins; for a conversation that has its answer, 'end' is all of it and
   *   'content' leaves out what the template writes after the last turn's text
   * @param o.now for a template that writes the date; absent: today
   */
  encode(
    messages: readonly ChatMessage[],
    tokenizer: TextTokenizer,
    o: { recognise?: boolean; until?: 'answer' | 'content' | 'end'; now?: Date } = {},
  ): number[] {
    const answered = o.until === 'content' || o.until === 'end';
    if (o.recognise)
      return tokenizer.encode(this.render(messages, tokenizer, answered, o.now), { recognise: true });
    return tokenizer.encodeAround(
      messages.map((m) => m.content),
      (texts) => {
        const guarded = messages.map((m, i) => ({ ...m, content: texts[i]! }));
        const all = this.render(guarded, tokenizer, answered, o.now);
        return o.until === 'content' ? throughContent(all, texts.at(-1)!) : all;
      },
    );
  }
}

/** A rendered conversation up to the end of its last turn's text, which a template may have trimmed. */
function throughContent(rendered: string, last: string): string {
  const text = last.trim();
  const at = rendered.lastIndexOf(text);
  if (at < 0)
    throw new LabError('bad-input', "The model's chat template changes the text of an answer.", {
      safe: 'Nothing was changed.',
      next: 'Use another answer, or the model without its template.',
    });
  return rendered.slice(0, at + text.length);
}

/** The token inspector: a text's tokens as the model that wrote it and others saw them, each teacher-forced over the same text. */
import { expected, sights } from '../eval/sights.ts';
import type { TokenExpectation } from '../eval/tokens.ts';
import { TokenLosses } from '../model/token-losses.ts';
import type { Chat } from './chat.ts';
import type { Context } from './context.ts';
import { PRIORITY } from './gate.ts';
import type { Models } from './models.ts';
import type { LabNode, TokenInspection } from './protocol.ts';

/** @throws LabError where the model that wrote the text cannot be asked */
export async function inspect(
  ctx: Context,
  models: Models,
  chat: Chat,
  o: { nodeId: string; others: readonly string[]; prompt: string; ids: readonly number[] },
  signal: AbortSignal,
): Promise<TokenInspection> {
  const node = await ctx.node(o.nodeId);
  const words = await wordsOf(ctx, models, node);
  const voice = await chat.voice(node);
  const before = voice.prompt(o.prompt);
  const text = { prompt: before, continuation: o.ids };
  const seen = (of: LabNode): Promise<TokenExpectation[]> =>
    models.use(of, ({ generator }) =>
      ctx.gate.run(
        PRIORITY.chat,
        async () => {
          const tokens = before.length + o.ids.length;
          const losses = await ctx.gpu.allocate(() => new TokenLosses(generator.model, tokens));
          try {
            return await expected(losses, text);
          } finally {
            losses.destroy();
          }
        },
        signal,
      ),
    );
  const own = await seen(node);
  const rows: (TokenExpectation[] | null)[] = [];
  const apart: TokenInspection['apart'] = [];
  for (const id of o.others) {
    const leave = (why: (typeof apart)[number]['why']): void => {
      rows.push(null);
      apart.push({ nodeId: id, why });
    };
    const other = await ctx.store.node(id);
    if (!other) leave('gone');
    else if ((await wordsOf(ctx, models, other)) !== words) leave('tokenizer');
    else {
      try {
        rows.push(await seen(other));
      } catch (error) {
        if (signal.aborted) throw error;
        leave('failed');
      }
    }
  }
  const stream = voice.stream(before);
  const texts = o.ids.map((id) => stream.push(id));
  if (texts.length > 0) texts[texts.length - 1] += stream.end();
  return { tokens: sights(own, texts, (id) => voice.spell(id), rows), apart };
}

/** What two models of equal words share: the tiny world's, or the same file of a tokenizer. */
async function wordsOf(ctx: Context, models: Models, node: LabNode): Promise<string> {
  if (node.root !== null) return 'tiny';
  const { tokenizer, vocabulary } = await models.opened.description(await ctx.rootId(node));
  return JSON.stringify(tokenizer ?? vocabulary ?? null);
}

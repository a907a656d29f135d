/** What a download consists of. Small, because the page's worker knows it before anything is downloaded. */
import * as v from 'valibot';

const file = v.object({
  name: v.string(),
  bytes: v.number(),
  hash: v.object({
    /** `git`: SHA-1 of "blob LENGTH\0" and the content, by which Git names a file. */
    kind: v.picklist(['sha256', 'git']),
    hex: v.string(),
  }),
});

/** As it is written down beside a download, so that it can go on without asking for anything but bytes. */
export const planSchema = v.object({
  repo: v.string(),
  /** What the user asked for; null: the newest of the main branch. */
  revision: v.nullable(v.string()),
  /** The commit that this stood for. Every byte comes from it. */
  commit: v.string(),
  /** In the order in which they are fetched: the small ones first. */
  files: v.array(file),
});

export type HubFile = v.InferOutput<typeof file>;
export type Plan = v.InferOutput<typeof planSchema>;

/** Where a download comes from, and the name by which it is kept: one for each commit. */
export const originOf = ({ repo, commit, revision }: Plan) => ({
  id: `${repo.replace('/', '--')}--${commit}`,
  repo,
  commit,
  revision,
});

export const totalBytes = ({ files }: Plan): number => files.reduce((sum, { bytes }) => sum + bytes, 0);

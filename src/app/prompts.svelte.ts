/** The user's prompts files, and the recipes as they suit an opened model with the chosen one. */
import { errorInfo, type EngineClient } from './client.ts';
import type { ErrorInfo, LabNode, PromptsInfo, RecipeInfo } from '../worker/protocol.ts';

export class PromptsFiles {
  #client: EngineClient;

  /** Those kept in this browser. */
  files = $state.raw<PromptsInfo[]>([]);
  chosenId = $state<string | null>(null);
  error = $state.raw<ErrorInfo | null>(null);
  /** For the node and file that were asked for last; empty until they are there. */
  recipes = $state.raw<RecipeInfo[]>([]);

  constructor(client: EngineClient) {
    this.#client = client;
  }

  get chosen(): PromptsInfo | null {
    return this.files.find((f) => f.id === this.chosenId) ?? null;
  }

  async open(): Promise<void> {
    this.files = await this.#client.request('prompts', {});
    this.chosenId = this.chosen?.id ?? this.files[0]?.id ?? null;
  }

  /** Checks a file, keeps it and chooses it. */
  async keep(file: File): Promise<void> {
    this.error = null;
    try {
      this.add(await this.#client.request('keepPrompts', { name: file.name, file }));
    } catch (e) {
      this.error = errorInfo(e);
    }
  }

  /** Chooses a file that was kept. */
  add(info: PromptsInfo): void {
    this.files = [...this.files.filter((f) => f.id !== info.id), info];
    this.chosenId = info.id;
  }

  /** Takes a file out of this browser. */
  async remove(id: string): Promise<void> {
    this.error = null;
    try {
      this.files = await this.#client.request('deletePrompts', { id });
      this.chosenId = this.chosen?.id ?? this.files[0]?.id ?? null;
    } catch (e) {
      this.error = errorInfo(e);
    }
  }

  async fit(node: LabNode, prompts: string): Promise<void> {
    try {
      const recipes = await this.#client.request('recipes', { nodeId: node.id, prompts });
      if (this.chosenId === prompts) this.recipes = recipes;
    } catch (e) {
      this.recipes = [];
      this.error = errorInfo(e);
    }
  }
}

/** The fake library as the built page imports the real one: its bundle takes the place of the library's chunk. */
import { fakeLibrary } from './fake-webllm.ts';

export const { MLCEngine, prebuiltAppConfig, modelVersion } = fakeLibrary({
  // the first is a token of the lab's stand-in model, too; the second of no tokenizer
  next: () => [
    ['the', Math.log(0.5)],
    ['\u2603\u2603', Math.log(0.1)],
  ],
  token: () => new Promise((resolve) => setTimeout(resolve, 5)),
});

/** Also of what a test put into the cache itself. */
export const hasModelInCache = async (): Promise<boolean> => true;

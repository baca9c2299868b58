import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { onTestFinished } from 'vitest';
import { desk, openChromium } from '../setup/chromium.ts';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A page in a browser of its own, with everything that went wrong in it. Gone when the test is. */
export class PageUnderTest {
  readonly page: Page;
  /** What the page complained of: errors, and what its content security policy forbade. */
  readonly complaints: string[] = [];
  /** Requests to anywhere else than the agent. */
  readonly strayed: string[] = [];

  readonly #origin: string;

  private constructor(page: Page, origin: string) {
    this.page = page;
    this.#origin = origin;
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (message) => {
      // An agent that does not answer for a while is no fault of the page.
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
        this.complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(`${origin}/`)) this.strayed.push(request.url());
    });
  }

  static async open(origin: string, look = desk, fragment = ''): Promise<PageUnderTest> {
    const folder = await mkdtemp(join(tmpdir(), 'mk-chromium-'));
    const context = await openChromium(folder, look);
    onTestFinished(async () => {
      await context.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    });
    const opened = new PageUnderTest(await context.newPage(), origin);
    await opened.page.goto(`${origin}/${fragment}`);
    await opened.page.getByRole('heading', { level: 1 }).waitFor();
    return opened;
  }

  /** A page of the dashboard, by the part of its address behind `#`. */
  async go(path: string): Promise<void> {
    await this.page.goto(`${this.#origin}/#${path}`);
    await this.page.getByRole('heading', { level: 1 }).waitFor();
  }

  /** Rules of WCAG 2.2 A and AA that are broken seriously, each with the first element that breaks it. */
  async seriousFindings(): Promise<string[]> {
    await this.page.evaluate(axeSource);
    return this.page.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        axe: {
          run(): Promise<{
            violations: { id: string; impact: string; help: string; nodes: { html: string }[] }[];
          }>;
        };
      };
      const { violations } = await axe.run();
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0]?.html}`);
    });
  }

  /** Pixels by which the page is wider than the window. */
  overflow(): Promise<number> {
    return this.page.evaluate(() => {
      const { document } = globalThis as unknown as {
        document: { documentElement: { scrollWidth: number; clientWidth: number } };
      };
      return document.documentElement.scrollWidth - document.documentElement.clientWidth;
    });
  }
}

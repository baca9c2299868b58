import { type BrowserContext, chromium } from 'playwright-core';

/** Debian's Chromium with nothing of anybody's in it, and without words to its maker. */
const settings = {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
};

export interface Look {
  readonly width: number;
  readonly height: number;
  readonly scheme: 'light' | 'dark';
}
export const desk: Look = { width: 1280, height: 900, scheme: 'light' };
export const phone: Look = { width: 390, height: 844, scheme: 'light' };

/** @param folder where it keeps what it remembers: a fresh one */
export const openChromium = (
  folder: string,
  { width, height, scheme }: Look = desk,
): Promise<BrowserContext> =>
  chromium.launchPersistentContext(folder, {
    ...settings,
    viewport: { width, height },
    colorScheme: scheme,
  });

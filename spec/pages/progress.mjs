// The page of examples/progress.lua: starts a job and watches it to the end, and until the browser has heard 204.

import { browser } from "./driver.mjs";

const longest = 60000;

browser(async ({ page, url }) => {
  const answers = [];
  page.on("response", (response) => {
    if (response.url().endsWith("/events")) {
      answers.push(response.status());
    }
  });
  await page.goto(url);
  await page.click("#start");
  await page.waitForFunction(() => document.querySelector("#jobs progress")?.value > 0);
  await page.waitForSelector("#jobs li[data-state=done]", { timeout: longest });
  await page.waitForFunction(() => document.querySelector("#jobs .note").textContent.includes("stays away"));
  const text = (selector) => page.innerText(selector);
  return {
    answers,
    title: await text("#jobs h2"),
    percent: await text("#jobs .percent"),
    note: await text("#jobs .note"),
    state: await text("#state"),
  };
});

// A page that `sse-router new` has written: waits until it shows what its template promises, and gives that.

import { browser } from "./driver.mjs";

const plays = {
  async feed(page) {
    await page.waitForSelector("#state[data-state=live]");
    await page.fill("[name=text]", "<i>hello</i>");
    await page.click("#form button");
    await page.waitForFunction(() => document.querySelectorAll("#events li").length === 2);
    return page.$$eval("#events li", (all) => all.map((item) => item.textContent));
  },
  async private(page) {
    await page.waitForFunction(() => document.getElementById("state").textContent.startsWith("Refused"));
    await page.evaluate(() => { location.hash = "secret"; });
    await page.waitForSelector("#events li");
    return page.innerText("#events li");
  },
  async jobs(page) {
    await page.click("#start");
    await page.waitForFunction(() => document.querySelector("#jobs label")?.textContent === "Job 1: done");
    return page.$eval("progress", (bar) => bar.value);
  },
  async metrics(page) {
    await page.waitForFunction(() => document.getElementById("memory").textContent.endsWith(" %"));
    return page.title();
  },
};

browser(({ page, url, template }) => page.goto(url).then(() => plays[template](page)));

-- The clients that nobody here wrote: Chromium, and the npm package `eventsource`. They read from a toy.

local files = require "spec.support.files"
local page = require "spec.support.page"
local server = require "spec.support.server"
local toy_server = require "spec.support.toy_server"

describe("the driver of pages", function()
  local toy, url

  before_each(function()
    toy = toy_server.start(function(connection, head)
      if head:find("GET /events", 1, true) then
        connection:open_stream()
        connection:chunk "retry: 50\n\nid: 1\ndata: one\n\nevent: add\nid: 2\ndata: \u{20AC}\n\n"
      else
        connection:respond("200 OK", "<!doctype html><title>toy</title><p>hello", "Content-Type: text/html\r\n")
      end
    end)
    url = ("http://127.0.0.1:%d"):format(toy.port)
  end)

  after_each(server.stop_all)

  local expected = {
    { event = "message", data = "one", id = "1" },
    { event = "add", data = "\u{20AC}", id = "2" },
  }

  --- A script of the spec's own, beside the driver's so that it finds it.
  local function script(text)
    local path = files.directory() .. "/script.mjs"
    files.write(path, text:gsub("DRIVER", require("luv").cwd() .. "/spec/pages/driver.mjs"))
    return path
  end

  it("shows what Chromium's EventSource receives", function()
    local result = page.browser_events { url = url .. "/events", names = { "add" }, count = 2 }
    assert.same(expected, result.events)
    assert.same({ "open" }, result.states)
  end)

  it("shows what the npm package receives", function()
    local result = page.node_events {
      url = url .. "/events",
      names = { "add" },
      count = 2,
      headers = { ["X-Spec"] = "yes" },
    }
    assert.same(expected, result.events)
    assert.matches("\r\n[Xx]%-[Ss]pec: yes\r\n", toy.connections[1].received)
  end)

  it("runs a script against a page, and talks with it on the way", function()
    local session = page.start(script [[
      import { browser, report, told } from "DRIVER";
      browser(async ({ page, url, greeting }) => {
        await page.goto(url);
        report("opened", await page.title());
        const word = await told("word");
        return { text: greeting + " " + (await page.textContent("p")), word };
      });
    ]], { url = url .. "/page", greeting = "oh" })
    assert.equal("toy", session:wait_report "opened")
    session:tell("word", { 1, 2 })
    assert.same({ text = "oh hello", word = { 1, 2 } }, session:finish())
  end)

  it("fails the spec when the page or the script does", function()
    local ok, message = pcall(page.run, script [[
      import { browser } from "DRIVER";
      browser(async ({ page, url }) => {
        await page.goto(url);
        await page.evaluate(() => { setTimeout(() => { throw new Error("in the page"); }); });
        await page.waitForEvent("pageerror").catch(() => {});
      });
    ]], url)
    assert.is_false(ok)
    assert.matches("the page raised: Error: in the page", message)
    ok, message = pcall(page.run, script [[
      import { node } from "DRIVER";
      node(async () => { throw new Error("in the script"); });
    ]], url)
    assert.is_false(ok)
    assert.matches("in the script", message)
  end)

  it("closes a script that never ends", function()
    local session = page.start(script [[
      import { browser, report } from "DRIVER";
      browser(async () => { report("here"); await new Promise(() => {}); });
    ]], url)
    session:wait_report "here"
    session:close()
    assert.is_true(session.process:ended())
  end)
end)

-- Runs the Node scripts of spec/pages: pages in Chromium and the npm package `eventsource`. Such a script
-- and its spec talk in lines of JSON; spec/pages/driver.mjs is the other half.

local json = require "cjson"
local cleanup = require "spec.support.cleanup"
local files = require "spec.support.files"
local loop = require "spec.support.loop"
local process = require "spec.support.process"

local M = {}

---@class support.Page
---@field reports { name: string, value: any }[] what the script has reported so far
---@field result any what the script returned, once it has ended
local Page = {}
Page.__index = Page

local folder = "spec/pages/"

--- The browser. The environment names another where Chromium is elsewhere.
M.chromium = os.getenv "CHROMIUM" or "/usr/bin/chromium"

--- Why pages cannot run on this machine, or nil.
---@return string|nil
function M.missing()
  if not files.read(folder .. "node_modules/playwright-core/package.json") then
    return "npm's packages are missing: npm ci --prefix spec/pages"
  elseif not files.read(M.chromium) then
    return ("there is no %s: install Chromium, or name it with CHROMIUM"):format(M.chromium)
  end
end

--- Starts a script of spec/pages (or any path); does not wait. `input` is what its function gets, beside
--- `page` and the rest: a table with at least `url`, or just a URL.
---@param script string such as "facts.mjs"
---@param input table|string
---@return support.Page
function M.start(script, input)
  local problem = M.missing()
  if problem then
    loop.raise(problem)
  end
  local path = script:find "/" and script or folder .. script
  input = type(input) == "string" and { url = input } or input
  local self = setmetatable({ reports = {}, seen = 0, script = script }, Page)
  self.process = process.spawn({ "node", path, json.encode(input) }, {
    name = script,
    stdin = true,
    env = { CHROMIUM = M.chromium },
  })
  cleanup.remove(self.process)
  cleanup.add(self, Page.close)
  return self
end

--- Runs a script to its end.
---@param script string
---@param input table|string
---@param seconds number|nil default 30
---@return any result what the script's function returned, null as `cjson.null`
function M.run(script, input, seconds)
  return M.start(script, input):finish(seconds)
end

--- Takes the lines that have come; gives the script's failure, if it has told one.
local function read_lines(self)
  local lines = self.process.stdout
  while lines[self.seen + 1] do
    self.seen = self.seen + 1
    local ok, message = pcall(json.decode, lines[self.seen])
    if not ok then
      loop.raise(("%s printed what is no message: %s"):format(self.script, lines[self.seen]))
    elseif message.report then
      table.insert(self.reports, { name = message.report, value = message.value })
    elseif message.failure then
      self.failure = message.failure
    else
      self.result, self.done = message.result, true
    end
  end
  return self.failure
end

local function raise_failure(self)
  loop.raise(("%s failed: %s\n%s"):format(self.script, self.failure or "it ended early", self.process:text()))
end

--- Waits until the script calls `report(name, value)`; reports are taken in order, others are skipped.
---@param name string
---@param seconds number|nil default 30
---@return any value
function Page:wait_report(name, seconds)
  self.taken = self.taken or 0
  local found
  loop.wait_until(function()
    local ended = self.process:ended()
    local failure = read_lines(self)
    while not found and self.reports[self.taken + 1] do
      self.taken = self.taken + 1
      found = self.reports[self.taken].name == name and self.reports[self.taken] or nil
    end
    return found or failure or ended
  end, seconds or 30, ("the report %q of %s"):format(name, self.script))
  if not found then
    raise_failure(self)
  end
  return found.value
end

--- Answers the script's `await told(name)`.
---@param name string
---@param value any
function Page:tell(name, value)
  self.process:write(json.encode { tell = name, value = value } .. "\n")
end

--- Waits for the script's end and gives its result; raises its failure.
---@param seconds number|nil default 30
---@return any
function Page:finish(seconds)
  self.process:wait_exit(seconds or 30)
  cleanup.remove(self)
  if read_lines(self) or not self.done then
    raise_failure(self)
  end
  return self.result
end

--- Ends the script and its browser.
function Page:close()
  cleanup.remove(self)
  self.process:kill "sigterm"
  if not pcall(self.process.wait_exit, self.process) then
    self.process:discard()
  end
end

--- What Chromium's EventSource receives. `input`: `url`, `count` (events to wait for), `names` (event types
--- beside "message"), `page` (URL of the document that opens it, for origins; default: the stream's origin).
---@param input table
---@param seconds number|nil
---@return table result { events = { { event, data, id } }, states }
function M.browser_events(input, seconds)
  return M.run("browser_events.mjs", input, seconds)
end

--- What the npm package `eventsource` receives on Node: the same input, and `headers`.
---@param input table
---@param seconds number|nil
---@return table result { events = { { event, data, id } } }
function M.node_events(input, seconds)
  return M.run("node_events.mjs", input, seconds)
end

return M

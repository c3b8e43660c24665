-- sse.poll: asks another server again and again, and tells of changes.

local core = require "sse.core"
local failures = require "sse.failures"
local fetch = require "sse.fetch"
local notes = require "sse.notes"
local options = require "sse.options"
local signature = require "sse.signature"

local M = {}

local RULES = {}
for _, name in ipairs { "method", "headers", "body", "timeout", "max_body", "follow", "ca", "insecure" } do
  RULES[name] = fetch.RULES[name]
end

local noted = notes.open "poll"

---@class sse.Poll
local Poll = {}
Poll.__index = Poll
Poll.__name = "sse.poll"

local private = setmetatable({}, { __mode = "k" }) -- by handle

--- Asks no more.
function Poll.stop(handle)
  local self = private[handle]
  self.stopped = true
  self.timer:stop()
  noted:drop(self.own)
end

--- A request that the server may answer with 304.
local function options_for(self)
  local checked = {}
  for name, value in pairs(self.options) do
    checked[name] = value
  end
  checked.headers = fetch.copy_headers(self.options.headers)
  if self.own.etag then
    fetch.add_header(checked.headers, "If-None-Match", self.own.etag)
  end
  if self.own.modified then
    fetch.add_header(checked.headers, "If-Modified-Since", self.own.modified)
  end
  return checked
end

--- Whether the response says something new. Not every server has validators, so the body counts.
local function is_change(self, response)
  local own, digest = self.own, core.hmac("sha256", "", response.body)
  local changed = digest ~= own.digest
  own.digest, own.etag, own.modified = digest, response.headers.etag, response.headers["last-modified"]
  return changed
end

--- A function that failed is called again with the next response.
local function forget(self)
  self.own.digest, self.own.etag, self.own.modified = nil, nil, nil
end

--- Calls the function, also to its end when the script is reloaded meanwhile: the next script counts the response as
--- told.
local function tell(self, response)
  core.outlive(true)
  local told = self.failures:call(self.fn, response)
  core.outlive(false)
  return told
end

--- One request. Nil and a message when it failed; the message of an error in the script is in the log.
local function ask(self)
  local response, message, code = fetch.run(self.url, options_for(self))
  if self.stopped or response and response.status == 304 then
    return true
  elseif not response then
    return nil, ("%s (%s)"):format(message, code)
  elseif response.status < 200 or response.status > 299 then
    return nil, "status " .. response.status
  elseif not is_change(self, response) or tell(self, response) then
    return true
  end
  forget(self)
  return nil
end

local turn

local function turn_later(self, wait)
  self.own.due, self.own.failed = core.monotonic() + wait, self.failures.count
  self.timer = core.timer(math.max(wait, 0.001), false, function()
    turn(self)
  end)
end

function turn(self)
  local guard <close> = failures.guard(function()
    forget(self)
    turn_later(self, self.failures:add(self.interval))
  end)
  local begun = core.monotonic()
  local ok, message = ask(self)
  guard.done = true
  if self.stopped or core.is_retired() then
    return
  end
  local wait
  if ok then
    self.failures:clear()
    wait = self.interval - (core.monotonic() - begun)
  else
    wait = self.failures:add(self.interval)
    if message then
      core.log("warn", ("%s: %s; asks again in %.1f s"):format(self.failures.what, message, wait))
    end
  end
  turn_later(self, wait)
end

--- Begins, or goes on where the same poll of the script before was: with its last response and when it was to ask
--- again. One that a running script makes is new.
local function go_on(self, definition)
  local own, before = noted:take(core.hmac("sha256", "", definition))
  for name, value in pairs(core.is_loading() and before or {}) do
    own[name] = value
  end
  self.own, self.failures.count = own, own.failed or 0
  -- Not before the script has taken over.
  self.timer = core.timer(math.max((own.due or 0) - core.monotonic(), 0), false, function()
    turn(self)
  end)
end

local function check_url(url)
  options.argument("sse.poll", 1, "url", url, "string")
  if not fetch.is_url(url) then
    options.raise(("sse.poll: argument 1 (url) must begin with http:// or https://, got %q"):format(url:sub(1, 40)))
  end
end

--- Asks for a URL at once and then at each interval, and calls `fn` with the response when it has changed: servers that
--- have ETag or Last-Modified are only asked whether it has. Failures are logged, and make the interval longer. A poll
--- that a reload does not change goes on as if there had been none.
---@param url string
---@param interval string|number
---@param fn fun(response: sse.Response)
---@param given table? as for sse.fetch
---@return sse.Poll
function M.poll(url, interval, fn, given)
  check_url(url)
  local seconds = options.argument("sse.poll", 2, "interval", interval, "duration")
  options.argument("sse.poll", 3, "function", fn, "function")
  local checked = options.check("sse.poll", given, RULES)
  local self = { url = url, interval = math.max(seconds, 0.001), fn = fn, options = checked }
  self.failures = failures.new("sse.poll " .. fetch.show_url(url))
  go_on(self, signature.of({}, { url, seconds, fn, given }))
  local handle = setmetatable({}, Poll)
  private[handle] = self
  return handle
end

return M

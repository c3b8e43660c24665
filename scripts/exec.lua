-- sse.exec: a program's output becomes events.

local core = require "sse.core"
local event_reader = require "sse.event_reader"
local failures = require "sse.failures"
local lines = require "sse.lines"
local log = require "sse.log"
local notes = require "sse.notes"
local options = require "sse.options"
local source = require "sse.source"

local M = {}

local LASTING = 10 -- seconds of a run after which its failure is the first of a row
local LONGEST_SHOWN = 2000 -- bytes of a line of stderr
local SHOWN_PER_SECOND = 100 -- lines of stderr

local noted = notes.open "exec"

local function restart_rule(value)
  if type(value) == "boolean" or value == "on-failure" then
    return value
  end
  return nil, 'must be true, false or "on-failure"'
end

local function environment_rule(value)
  if type(value) ~= "table" then
    return nil, "must be a table of names and texts"
  end
  local checked = {}
  for name, text in pairs(value) do
    local kind = type(text)
    if type(name) ~= "string" or name == "" or name:find "[=%z]" then
      return nil, "must have names as keys"
    elseif kind ~= "string" and kind ~= "number" and text ~= false then
      return nil, ("must have texts as values, or false to remove one ('%s' is a %s)"):format(name, kind)
    end
    checked[name] = text and tostring(text)
  end
  return checked
end

local RULES = {
  channel = { type = source.RULES.channel },
  parse = { type = source.RULES.parse },
  event = { type = "string" },
  when = { type = "string", values = { "always", "subscribed" }, default = "always" },
  restart = { type = restart_rule, default = true },
  linger = { type = "duration", default = 5 },
  grace = { type = "duration", default = 5 },
  backoff = { type = "duration", min = 0.001, default = 0.5 },
  shell = { type = "boolean", default = false },
  stdin = { type = "string" },
  env = { type = environment_rule },
  cwd = { type = "string" },
}

---@class sse.Exec: sse.Source
local Exec = setmetatable({}, { __index = source.class })

--- What scripts see of a running program.
---@class sse.ExecHandle
---@field pid integer? of the program while it runs
---@field running boolean
---@field stop fun(self: sse.ExecHandle) ends the program, for good
local Handle = {}

local function words_of(argv, shell)
  if shell then
    options.argument("sse.exec", 1, "command", argv, "string")
    return { "/bin/sh", "-c", argv }
  elseif type(argv) == "string" then
    options.raise(('sse.exec: argument 1 (command) must be a list such as { "vmstat", "1" }; '
      .. "for a line of shell set option 'shell'"))
  end
  options.argument("sse.exec", 1, "command", argv, "table")
  local words = {}
  for index = 1, #argv do
    local kind = type(argv[index])
    if kind ~= "string" and kind ~= "number" or tostring(argv[index]):find "%z" then
      options.raise(("sse.exec: word %d of the command must be a text, got %s"):format(index, kind))
    end
    words[index] = tostring(argv[index])
  end
  if not words[1] or words[1] == "" then
    options.raise "sse.exec: the command is empty"
  end
  return words
end

local keys = {} -- how many programs have that definition

--- The same for the same program in another version of the script.
local function key_of(words, given)
  local parts = { table.unpack(words) }
  parts[#parts + 1] = "cwd " .. (given.cwd or "")
  parts[#parts + 1] = "stdin " .. (given.stdin or "")
  local names = {}
  for name, text in pairs(given.env or {}) do
    names[#names + 1] = name .. "=" .. tostring(text)
  end
  table.sort(names)
  table.move(names, 1, #names, #parts + 1, parts)
  for index, part in ipairs(parts) do
    parts[index] = #part .. ":" .. part
  end
  local definition = table.concat(parts)
  keys[definition] = (keys[definition] or 0) + 1
  return definition .. "#" .. keys[definition], definition
end

local function forget_key(definition)
  keys[definition] = keys[definition] > 1 and keys[definition] - 1 or nil
end

-- Reading

local function read_output(self)
  local child, output = self.child, lines.new()
  -- What was read and not used is kept, for this script or the one that takes over; the line at which the task was
  -- stopped only for the latter.
  local _ <close> = setmetatable({}, { __close = function()
    local current = self.current and core.is_retired() and self.current .. "\n" or ""
    child:unread("stdout", self.unused() .. current .. output:rest())
    self.current = nil
    self:reset()
  end })
  while true do
    local line = output:next()
    if line ~= nil then
      if not self.stopped then
        self:take_or_tell(line)
      end
    else
      local bytes = child:read "stdout"
      if not bytes then
        break
      end
      output:feed(bytes)
    end
  end
  local last = output:rest()
  if last ~= "" and not self.stopped then
    self:take(last)
  end
  self.reading = self.reading - 1
  self.bell:ring()
end

--- Logs a line of stderr, unless there were many in this second.
local function show(self, line)
  local now = core.monotonic()
  if not self.second or now - self.second >= 1 then
    if (self.left_out or 0) > 0 then
      log.warn(("%s: %d lines of its stderr were left out"):format(self.name, self.left_out))
    end
    self.second, self.shown, self.left_out = now, 0, 0
  end
  if self.shown < SHOWN_PER_SECOND then
    self.shown = self.shown + 1
    log.info(("%s: %s"):format(self.name, event_reader.decode_utf8(line:sub(1, LONGEST_SHOWN))))
  else
    self.left_out = self.left_out + 1
  end
end

local function read_errors(self)
  local child, output = self.child, lines.new(LONGEST_SHOWN * 4)
  while true do
    local line = output:next()
    if line ~= nil then
      show(self, line or "(a line that is too long)")
      self:breathe()
    else
      local bytes = child:read "stderr"
      if not bytes then
        break
      end
      output:feed(bytes)
    end
  end
  local last = output:rest()
  if last ~= "" then
    show(self, last)
  end
  self.reading = self.reading - 1
  self.bell:ring()
end

-- When it runs

function Exec:is_wanted()
  return not self.stopped and (not self.audience or self.audience:count() > 0)
end

--- Waits until the program is to be started; false when it never will be.
function Exec:wait_for_start()
  while not self.stopped do
    local wanted = self:is_wanted()
    if not wanted then
      self.finished = false
    elseif not self.finished then
      local left = self.start_at - core.monotonic()
      if left <= 0 then
        return true
      end
      self.bell:wait(left)
    elseif not self.audience then
      return false
    end
    if not wanted or self.finished then
      self.bell:wait()
    end
  end
  return false
end

--- Seconds until the program has lingered long enough without subscribers; nil when it is wanted.
function Exec:time_left()
  if self:is_wanted() then
    self.unwanted_since = nil
    return nil
  elseif self.stopped then
    return 0
  end
  local now = core.monotonic()
  self.unwanted_since = self.unwanted_since or now
  return math.max(0, self.unwanted_since + self.linger - now)
end

--- Waits until the program has ended and all its output was taken; ends it when it is no longer wanted.
function Exec:wait_for_end()
  local child = self.child
  while child:status() == nil or self.reading > 0 do
    local left = child:status() == nil and not self.ending and self:time_left() or nil
    if left == 0 then
      self.ending = true
      child:stop()
      left = nil
    end
    self.bell:wait(left)
  end
end

-- Runs

local function open_child(self)
  local child = core.claim_child(self.key, self.bell)
  if child then
    return child
  end
  local problem, code
  child, problem, code = core.child {
    key = self.key,
    argv = self.words,
    env = self.env,
    cwd = self.cwd,
    stdin = self.stdin,
    grace = self.grace,
    bell = self.bell,
  }
  if code == "ENOENT" then
    problem = "there is no folder " .. self.cwd
  end
  return child, problem
end

--- One run of the program, to its end. Returns nil when all is well or it was ended by us, else what went wrong.
local function run_once(self)
  local child, problem = open_child(self)
  if not child then
    return "cannot be started: " .. problem
  end
  self.child, self.reading, self.ending, self.unwanted_since = child, 2, false, nil
  self.name = ("%s[%d]"):format(self.title, child:pid())
  log.debug(self.name .. ": runs")
  self.own.how = nil
  self:run(read_output)
  self:run(read_errors)
  self:wait_for_end()
  local status, signal = child:status()
  self.child = nil
  child:close()
  if self.ending or status == 0 and signal == 0 then
    return nil
  end
  return signal ~= 0 and ("ended by signal %d"):format(signal) or ("ended with status %d"):format(status)
end

--- Whether the script wants no further run after one that ended "well" or "badly".
local function is_last(self, how)
  return self.restart == false or self.restart == "on-failure" and how == "well"
end

--- Notes how it stands for the script that takes over.
local function note(self, how)
  self.own.how, self.own.start_at, self.own.failed = how, self.start_at, self.failures.count
end

--- Goes on where the same program of the script before was: one that was to run no more, or not yet, is not started
--- by a reload. What a running script starts is not noted: there may be many that end.
local function go_on(self)
  local own, before = {}, nil
  if core.is_loading() then
    own, before = noted:take(self.definition)
  end
  before = before or {}
  self.own, self.start_at, self.failures.count = own, before.start_at or core.monotonic(), before.failed or 0
  self.finished = before.how ~= nil and is_last(self, before.how)
  note(self, before.how)
end

--- Decides when the program runs again.
local function plan(self, problem, seconds)
  local delay = self.backoff
  if not problem or seconds >= LASTING then
    self.failures:clear()
  end
  if self.ending then
    self.start_at = core.monotonic()
    note(self, nil)
    return
  elseif problem then
    delay = self.failures:add(delay)
  end
  -- Many that fail together must not come back together.
  delay = delay * (0.75 + math.random() * 0.5)
  self.start_at = core.monotonic() + delay
  local how = problem and "badly" or "well"
  self.finished = is_last(self, how)
  note(self, how)
  local text = ("%s: %s after %.1f s"):format(self.title, problem or "ended", seconds)
  if self.finished then
    log[problem and "warn" or "info"](text)
  else
    log[problem and "warn" or "debug"](("%s; starts again in %.1f s"):format(text, delay))
  end
end

local function supervise(self)
  if self.when == "subscribed" then
    self.audience = self.audience or core.audience(self.channel, self.bell)
  end
  while self:wait_for_start() do
    local started = core.monotonic()
    local problem = run_once(self)
    plan(self, problem, core.monotonic() - started)
  end
  if self.audience then
    self.audience:close()
  end
  forget_key(self.definition)
  if self.stopped then
    noted:drop(self.own)
  end
end

function Handle.__index(handle, name)
  local self = rawget(handle, 1)
  if name == "pid" then
    return self.child and self.child:status() == nil and self.child:pid() or nil
  elseif name == "running" then
    return self.child ~= nil and self.child:status() == nil
  elseif name == "stop" then
    return Handle.stop
  end
end

function Handle.stop(handle)
  rawget(handle, 1):stop()
end

local function title_of(words, shell)
  if shell then
    return "exec " .. words[3]:match "^%s*(%S*)"
  end
  return "exec " .. words[1]:match "[^/]*$"
end

--- Runs a program beside the router; its output becomes events. It is started again when it ends, and dies with the
--- router. Lines of its stderr go to the log.
---@param argv string[]|string the program and its arguments; a line of shell with `shell = true`
---@param given sse.ExecOptions
---@return sse.ExecHandle
function M.exec(argv, given)
  local checked = options.check("sse.exec", given, RULES)
  source.check_target("sse.exec", checked)
  local words = words_of(argv, checked.shell)
  if checked.when == "subscribed" and not checked.channel then
    options.raise "sse.exec: option 'when' is \"subscribed\", but option 'channel' is missing"
  end
  local self = source.new("sse.exec", title_of(words, checked.shell), checked, { __index = Exec })
  for _, name in ipairs { "when", "restart", "linger", "grace", "backoff", "stdin", "env" } do
    self[name] = checked[name]
  end
  self.cwd = source.path(checked.cwd or ".")
  self.words = words
  self.key, self.definition = key_of(words, checked)
  self.failures = failures.new(self.title)
  go_on(self)
  self:start(supervise)
  return setmetatable({ self }, Handle)
end

return M

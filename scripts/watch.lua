-- sse.watch: tells of changes of files and folders.

local core = require "sse.core"
local log = require "sse.log"
local notes = require "sse.notes"
local options = require "sse.options"
local source = require "sse.source"

local M = {}

local POLL = 1 -- seconds between looks at what cannot be watched
local PATIENCE = 10 -- times the debounce, after which changes are told although there are more and more

local RULES = {
  recursive = { type = "boolean", default = false },
  debounce = { type = "duration", default = 0.1 },
}

local noted = notes.open "watch"

---@class sse.Watch: sse.Source
local Watch = setmetatable({}, { __index = source.class })

local look_at

--- Watches a folder from now on. `entries` is what is known to be there.
local function add(self, path, entries)
  local watch, problem, code = core.watch(path, self.bell, path == self.top and self.name or nil)
  if not watch and code ~= "ENOENT" and not self.complained then
    self.complained = true
    log.warn(("%s: %s: looking each second instead (%s)"):format(self.title, path, problem))
  end
  local _, _, identity = core.stat(path)
  self.folders[path] = { watch = watch, identity = identity, entries = entries }
  self.own.folders[path] = entries
end

local function drop(self, path, changes)
  local folder = self.folders[path]
  if not folder then
    return
  end
  self.folders[path], self.own.folders[path] = nil, nil
  if folder.watch then
    folder.watch:close()
  end
  for name, stamp in pairs(folder.entries) do
    if changes then
      changes[path .. name] = "removed"
    end
    if stamp:sub(1, 1) == "d" then
      drop(self, path .. name .. "/", changes)
    end
  end
end

local function list(self, path)
  local entries = core.list(path) or {}
  if path == self.top and self.name then
    return { [self.name] = entries[self.name] }
  end
  return entries
end

local function is_folder(self, stamp)
  return self.recursive and stamp and stamp:sub(1, 1) == "d"
end

--- Compares what is in a folder with what was there.
function look_at(self, path, changes)
  local folder = self.folders[path]
  local before, after = folder.entries, list(self, path)
  folder.entries, self.own.folders[path] = after, after
  for name, stamp in pairs(before) do
    if after[name] ~= stamp then
      if is_folder(self, stamp) then
        drop(self, path .. name .. "/", changes)
      end
      changes[path .. name] = after[name] and "changed" or "removed"
    end
  end
  for name, stamp in pairs(after) do
    if not before[name] then
      changes[path .. name] = changes[path .. name] and "changed" or "created"
    end
    if is_folder(self, stamp) and before[name] ~= stamp then
      add(self, path .. name .. "/", {})
      look_at(self, path .. name .. "/", changes)
    end
  end
end

--- The same after a folder was replaced, or where nothing tells of changes.
local function renew(self, path)
  local folder = self.folders[path]
  local _, _, identity = core.stat(path)
  if folder.watch and identity == folder.identity then
    return false
  end
  if folder.watch then
    folder.watch:close()
  end
  add(self, path, folder.entries)
  return true
end

local function collect(self)
  local changes, paths = {}, {}
  for path in pairs(self.folders) do
    paths[#paths + 1] = path
  end
  table.sort(paths)
  for _, path in ipairs(paths) do
    local folder = self.folders[path]
    local dirty = folder and folder.watch and folder.watch:take()
    if folder and ((path == self.top or not folder.watch) and renew(self, path) or dirty) then
      look_at(self, path, changes)
    end
  end
  return changes
end

--- Tells of changes. The script that takes over meanwhile tells of the rest.
local function tell(self, changes)
  local paths = {}
  for path in pairs(changes) do
    paths[#paths + 1] = path
  end
  table.sort(paths)
  self.own.changes = changes
  for _, path in ipairs(paths) do
    if self.stopped then
      return
    end
    local change = changes[path]
    changes[path] = nil
    self:take { path = path, change = change }
    self:breathe()
  end
end

--- Waits until nothing has changed for a moment.
local function settle(self)
  local deadline = core.monotonic() + PATIENCE * self.debounce
  while self.bell:wait(self.debounce) and not self.stopped and core.monotonic() < deadline do -- luacheck: ignore
  end
end

local function run(self)
  tell(self, self.own.changes)
  while not self.stopped do
    if self.bell:wait(POLL) and not self.stopped then
      settle(self)
    end
    if not self.stopped then
      tell(self, collect(self))
    end
  end
  drop(self, self.top)
  noted:drop(self.own)
end

--- Goes on where the script before was: what has changed since then is news.
local function go_on(self, before)
  local paths = {}
  for path, entries in pairs(before.folders) do
    add(self, path, entries)
    paths[#paths + 1] = path
  end
  table.sort(paths)
  self.own.changes = before.changes
  for _, path in ipairs(paths) do
    if self.folders[path] then
      look_at(self, path, self.own.changes)
    end
  end
end

--- Begins to watch: what is there now is no news.
local function begin(self)
  if core.stat(self.path) == "directory" then
    self.top = self.path:match "^(.-)/*$" .. "/"
  else
    self.top, self.name = self.path:match "^(.*/)([^/]*)$"
  end
  local before = self.before
  self.before = nil
  if before and before.folders[self.top] then
    go_on(self, before)
  else
    self.own.folders, self.own.changes = {}, {}
    add(self, self.top, {})
    look_at(self, self.top, {})
  end
  log.debug(self.title .. ": watches")
  self:run(run)
end

--- Calls `fn` with { path =, change = "created", "changed" or "removed" } when a file, or what is in a folder, has
--- changed. A relative path begins at the script's folder; it need not be there yet.
---@param path string
---@param fn fun(change: { path: string, change: string })
---@param given { recursive: boolean?, debounce: string|number|nil }?
---@return { stop: fun(self) }
function M.watch(path, fn, given)
  options.argument("sse.watch", 1, "path", path, "string")
  options.argument("sse.watch", 2, "function", fn, "function")
  local checked = options.check("sse.watch", given, RULES)
  local full = source.path(path)
  local self = source.new("sse.watch", "watch " .. path, {
    parse = function(change)
      fn(change)
    end,
  }, { __index = Watch })
  self.path, self.recursive, self.debounce, self.folders = full, checked.recursive, checked.debounce, {}
  self.finishes = true
  local own, before = noted:take((checked.recursive and "all of " or "") .. full)
  self.own, self.before = own, core.is_loading() and before or nil
  own.folders, own.changes = before and before.folders or {}, before and before.changes or {}
  self:start(begin)
  return source.handle(self)
end

return M

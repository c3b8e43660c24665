-- sse.pipe: events from channels to channels, filtered, changed, split and routed on the way.

local core = require "sse.core"
local options = require "sse.options"
local stages = require "sse.stages"

local M = {}

local edges = {} -- { from =, to = } of the pipes whose target is known

local function name_of(what, value)
  if type(value) == "string" and value ~= "" then
    return value
  elseif type(value) == "userdata" then
    return value.name
  end
  options.raise(("%s: a channel or its name is expected, got %s"):format(what, type(value)))
end

local function sources(from)
  local names = {}
  for index, value in ipairs(type(from) == "table" and from or { from }) do
    names[index] = name_of("sse.pipe: argument 1 (from)", value)
  end
  if #names == 0 then
    options.raise "sse.pipe: argument 1 (from) names no channel"
  end
  return names
end

--- The way from channel `at` to one that `goal` matches, as text, or nil.
local function find_way(at, goal, seen)
  if core.pattern_matches(goal, at) then
    return at
  end
  seen[at] = true
  for _, edge in ipairs(edges) do
    if not seen[edge.to] and core.pattern_matches(edge.from, at) then
      local way = find_way(edge.to, goal, seen)
      if way then
        return at .. " -> " .. way
      end
    end
  end
  return nil
end

local function refuse_cycle(from, to)
  local way = find_way(to, from, {})
  if way then
    options.raise(("sse.pipe: a circle: %s -> %s"):format(from, way))
  end
end

local function copy(event)
  return { event = event.event, data = event.data, key = event.key, meta = event.meta, retry = event.retry }
end

--- A stage from a function: nothing drops the event, true passes it, a table is another event, a list of tables are
--- several.
local function stage_of(fn)
  return function(emit)
    return function(event)
      local result = fn(event)
      if result == true then
        emit(event)
      elseif type(result) == "table" and type(result[1]) == "table" then
        for _, part in ipairs(result) do
          part.channel = event.channel
          emit(part)
        end
      elseif type(result) == "table" then
        result.channel = event.channel
        emit(result)
      elseif result then
        options.raise(("a pipe's function must return an event, a list of events, true or nothing, got %s")
          :format(type(result)))
      end
    end
  end
end

--- Chains the stages: the first gets the event, the last one emits to `emit`.
local function chain(list, emit)
  for index = #list, 1, -1 do
    local stage = list[index]
    if stages.is_stage(stage) then
      emit = stage.start(emit)
    elseif type(stage) == "function" then
      emit = stage_of(stage)(emit)
    else
      options.raise(("sse.pipe: argument %d must be a function or a stage such as sse.throttle \"1s\", got %s")
        :format(index + 2, type(stage)))
    end
  end
  return emit
end

local function publish_to(to)
  return function(event)
    local target = to
    if type(to) == "function" then
      target = to(event)
    end
    if target then
      core.publish(target, copy(event))
    end
  end
end

---@class sse.Pipe
---@field stop fun(self: sse.Pipe)
local Pipe = {}
Pipe.__index = Pipe

--- Events that wait in a stage are dropped.
function Pipe:stop()
  for _, observer in ipairs(self.observers) do
    observer:stop()
  end
  local kept = {}
  for _, edge in ipairs(edges) do
    if edge.pipe ~= self then
      kept[#kept + 1] = edge
    end
  end
  edges = kept
end

--- Sends the events of `from` (a channel, a pattern or a list) on to `to` (a channel, or a function of the event that
--- names one), through functions of the event and stages.
---@param from any
---@param to any
---@param ... any functions and stages
---@return sse.Pipe
function M.pipe(from, to, ...)
  local names = sources(from)
  local pipe = setmetatable({ observers = {} }, Pipe)
  if type(to) ~= "function" then
    local target = name_of("sse.pipe: argument 2 (to)", to)
    if core.is_pattern(target) then
      options.raise(("sse.pipe: argument 2 (to) is the pattern '%s', and a channel is expected"):format(target))
    end
    for _, name in ipairs(names) do
      refuse_cycle(name, target)
      edges[#edges + 1] = { from = name, to = target, pipe = pipe }
    end
  end
  local first = chain({ ... }, publish_to(to))
  for index, name in ipairs(names) do
    pipe.observers[index] = core.observe(name, first)
  end
  return pipe
end

local derived = {} -- by the derived channel's name: its pipe

--- Removes derived channels that nobody listens to any more.
local function sweep()
  for name, entry in pairs(derived) do
    if entry.channel.subscribers == 0 then
      entry.pipe:stop()
      entry.channel:close()
      derived[name] = nil
    end
  end
  if next(derived) then
    core.timer(60, false, sweep)
  end
end

--- The channel that carries another one's events through a stage, for subscriptions; shared by equal ones.
---@param channel any
---@param stage sse.Stage
---@return any channel
function M.through(channel, stage)
  local source = name_of("sse.subscribe: a channel with 'through'", channel)
  local name = ("|%s|%s"):format(stage.name, source)
  local entry = derived[name]
  if not entry then
    if not next(derived) then
      core.timer(60, false, sweep)
    end
    entry = { channel = core.channel(name, { history = 100 }) }
    entry.pipe = M.pipe(source, entry.channel, stage)
    derived[name] = entry
  end
  return entry.channel
end

return M

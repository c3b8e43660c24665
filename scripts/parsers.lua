-- What makes events of the lines of a source. A parser is a function of a line that returns an event, or nil, or nil
-- and what is wrong with the line; it may come with a function that tells which lines it has not used yet.

local core = require "sse.core"
local json = require "sse.json"

local M = {}

M.NAMES = { "line", "json", "sse" }

--- The text with U+FFFD for each byte that is no UTF-8, as a browser would show it.
---@param text string
---@return string
function M.repair(text)
  if core.is_utf8(text) then
    return text
  end
  local parts, from = {}, 1
  while true do
    local _, bad = utf8.len(text, from)
    if not bad then
      parts[#parts + 1] = text:sub(from)
      return table.concat(parts)
    end
    parts[#parts + 1] = text:sub(from, bad - 1)
    parts[#parts + 1] = "\u{FFFD}"
    from = bad + 1
  end
end

local makers = {}

--- The line is the data. Empty lines are left out: a browser would not tell of an event without data.
function makers.line(name)
  return function(line)
    if line ~= "" then
      return { event = name, data = M.repair(line) }
    end
  end
end

--- The line is JSON and becomes the data.
function makers.json(name)
  return function(line)
    if not line:find "%S" then
      return nil
    end
    local value, problem = json.decode(line)
    if value == nil then
      return nil, ("no JSON: %s, in: %s"):format(problem, M.repair(line:sub(1, 200)))
    end
    return { event = name, data = value }
  end
end

local fields = {}

function fields.data(event, value)
  event.lines = event.lines or {}
  table.insert(event.lines, value)
end

function fields.event(event, value)
  event.event = value ~= "" and value or nil
end

function fields.id(event, value)
  if not value:find("\0", 1, true) then
    event.id = value
  end
end

function fields.retry(event, value)
  if value:find "^%d+$" then
    event.retry = tonumber(value) / 1000
  end
end

--- The lines are an event stream (HTML standard, 9.2.6); an event ends at an empty line.
function makers.sse(name)
  local event, used, first = {}, {}, true
  local function take(line)
    used[#used + 1] = line
    line = M.repair(line)
    if first then
      first, line = false, line:gsub("^\u{FEFF}", "")
    end
    if line ~= "" then
      local field, value = line:match "^([^:]+):? ?(.*)$"
      if fields[field] then
        fields[field](event, value)
      end
      return nil
    end
    local done = event
    event, used = {}, {}
    if not done.lines then
      return nil
    end
    return { event = done.event or name, data = table.concat(done.lines, "\n"), id = done.id, retry = done.retry }
  end
  return take, function()
    return #used == 0 and "" or table.concat(used, "\n") .. "\n"
  end
end

--- A parser for lines of that kind; `name` is the name of events that bring none.
---@param kind string|function one of NAMES, or the parser itself
---@param name string?
---@return fun(line: string): any, string?
---@return fun(): string unused text of the lines that no event was made of yet
function M.make(kind, name)
  local parse, unused = kind, nil
  if type(kind) == "string" then
    parse, unused = makers[kind](name)
  elseif name then
    parse = function(line)
      local event, problem = kind(line)
      if type(event) == "string" then
        event = { event = name, data = event }
      elseif type(event) == "table" and event.event == nil then
        event.event = name
      end
      return event, problem
    end
  end
  return parse, unused or function()
    return ""
  end
end

return M

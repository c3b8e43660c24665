-- The prompt (--repl): runs what is typed, and shows what comes of it. Its commands are in commands.lua, completion
-- is in complete.lua.

local commands = require "sse.commands"
local complete = require "sse.complete"
local core = require "sse.core"
local show = require "sse.show"
local sse = require "sse"

local M = {}

--- The module, except that looking at a channel does not give it other options.
local module = setmetatable({}, getmetatable(sse))
for name, value in next, sse do
  module[name] = value
end

function module.channel(name, given)
  return given == nil and type(name) == "string" and core.find_channel(name) or sse.channel(name, given)
end

--- What a line sees: `sse`; `_`, the last value; and the script's globals, where its assignments go, too.
local names = setmetatable({ sse = module }, { __index = _G, __newindex = _G })

--- The text as a function, first as an expression. When it is the beginning of something: nil, nil.
---@param text string
---@return function? chunk
---@return string? problem
local function compile(text)
  local chunk, expected = load("return " .. text, "=prompt", "t", names)
  if chunk then
    return chunk
  end
  local problem
  chunk, problem = load(text, "=prompt", "t", names)
  if chunk then
    return chunk
  elseif problem:match "<eof>$" or expected:match "near <eof>$" then
    return nil, nil
  end
  return nil, problem
end

local function print_values(...)
  local texts = {}
  for index = 1, select("#", ...) do
    texts[index] = show.value((select(index, ...)))
  end
  if #texts > 0 then
    rawset(names, "_", (...))
    io.stdout:write(table.concat(texts, "\t"), "\n")
  end
end

--- What to do with what was typed: a function to run in a task; "more", "quit"; or "error" and a message.
---@param text string
---@param last boolean nothing follows
---@return function|string
---@return string?
function M.prepare(text, last)
  local name, rest = text:match "^%s*%.(%a+)%s*(.-)%s*$"
  if name == "quit" then
    return "quit"
  elseif name then
    return commands.find(name, rest)
  end
  local chunk, problem = compile(text)
  if chunk then
    return function()
      print_values(chunk())
    end
  elseif problem or last then
    return "error", problem or "prompt: unfinished"
  end
  return "more"
end

--- What may follow the text up to the cursor: the part that all continuations share, and a list of them when there
--- are several and they share nothing.
---@param text string
---@return string insert
---@return string? listing
function M.complete(text)
  return complete.text(text, names)
end

return M

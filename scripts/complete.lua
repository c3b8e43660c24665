-- Completion at the prompt: commands, names of channels, and Lua's names.

local commands = require "sse.commands"
local show = require "sse.show"

local M = {}

local MOST = 200 -- names that are listed
local WIDTH = 78

local KEYWORDS = {
  "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
  "not", "or", "repeat", "return", "then", "true", "until", "while",
}

local METHODS = {
  ["sse.channel"] = { "close", "closed", "delete", "lagged", "length", "name", "publish", "published", "subscribers" },
}

local function common_prefix(names)
  local prefix = names[1]
  for _, name in ipairs(names) do
    while name:sub(1, #prefix) ~= prefix do
      prefix = prefix:sub(1, utf8.offset(prefix, 0, #prefix) - 1)
    end
  end
  return prefix
end

local function in_columns(names)
  local longest = 0
  for _, name in ipairs(names) do
    longest = math.max(longest, utf8.len(name) or #name)
  end
  local per_line = math.max(1, WIDTH // (longest + 2))
  local lines, line = {}, {}
  for index = 1, math.min(#names, MOST) do
    local name = show.plain(names[index])
    line[#line + 1] = name .. (" "):rep(longest + 2 - (utf8.len(name) or #name))
    if #line == per_line or index == math.min(#names, MOST) then
      lines[#lines + 1] = table.concat(line):match "^(.-)%s*$"
      line = {}
    end
  end
  if #names > MOST then
    lines[#lines + 1] = ("... (%d more)"):format(#names - MOST)
  end
  return table.concat(lines, "\n") .. "\n"
end

--- What to insert behind `part`, and what to list. `suffix` follows a name that is the only one.
local function choose(part, names, suffix)
  local fitting = {}
  for _, name in ipairs(names) do
    if name:sub(1, #part) == part and not name:find "%c" then
      fitting[#fitting + 1] = name
    end
  end
  if #fitting == 0 then
    return "", nil
  elseif #fitting == 1 then
    return fitting[1]:sub(#part + 1) .. suffix, nil
  end
  local more = common_prefix(fitting):sub(#part + 1)
  return more, more == "" and in_columns(fitting) or nil
end

local function add_names(names, seen, from)
  for name in next, from do
    if type(name) == "string" and name:match "^[%a_][%w_]*$" and not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
end

--- Names of a value's fields, those that it inherits too.
local function fields_of(value)
  local names, seen = {}, {}
  for _ = 1, 10 do
    local meta = debug.getmetatable(value)
    if type(value) == "table" then
      add_names(names, seen, value)
    elseif meta and METHODS[meta.__name] then
      return METHODS[meta.__name]
    end
    value = meta and rawget(meta, "__index")
    if type(value) ~= "table" then
      break
    end
  end
  table.sort(names)
  return names
end

local function field(value, name)
  for _ = 1, 10 do
    if type(value) == "table" and rawget(value, name) ~= nil then
      return rawget(value, name)
    end
    local meta = debug.getmetatable(value)
    value = meta and rawget(meta, "__index")
    if type(value) ~= "table" then
      return nil
    end
  end
end

local function complete_name(text, names)
  local path, part = text:match "([%a_][%w_%.:]*[%.:])([%w_]*)$"
  if not path then
    part = text:match "[%a_][%w_]*$" or ""
    local all = fields_of(names)
    table.move(KEYWORDS, 1, #KEYWORDS, #all + 1, all)
    table.sort(all)
    return choose(part, all, "")
  end
  local value = names
  for name in path:gmatch "[%w_]+" do
    value = field(value, name)
  end
  if value == nil then
    return "", nil
  end
  return choose(part, fields_of(value), "")
end

--- The quote that the text ends inside of, and what is behind it.
local function open_string(text)
  local quote, start
  for position = 1, #text do
    local letter = text:sub(position, position)
    if quote == letter and text:sub(position - 1, position - 1) ~= "\\" then
      quote = nil
    elseif not quote and (letter == '"' or letter == "'") then
      quote, start = letter, position
    end
  end
  if quote then
    return quote, text:sub(start + 1)
  end
end

local function complete_command(text)
  local name, part = text:match "^%.(%a*)%s+(%S*)$"
  local command = name and commands.get(name)
  if command and command.takes_channel then
    return choose(part, commands.channels(), " ")
  elseif name or text:find "%s" then
    return "", nil
  end
  local names = {}
  for index, one in ipairs(commands.list()) do
    names[index] = "." .. one.name
  end
  return choose(text, names, " ")
end

--- What may follow the text: what all continuations have in common, and a list of them when that is nothing.
---@param text string
---@param names table what the text sees
---@return string insert
---@return string? listing
function M.text(text, names)
  text = text:match "^%s*(.*)$"
  if text:sub(1, 1) == "." then
    return complete_command(text)
  end
  local quote, part = open_string(text)
  if quote then
    return choose(part, commands.channels(), quote)
  end
  return complete_name(text, names)
end

return M

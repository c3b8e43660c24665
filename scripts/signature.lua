-- What a route does, as text: so that a reload can tell whether a route is still the same. It covers the code of the
-- handler and guards and what they refer to, as it is while the script is loaded.

local M = {}

local describe

--- Modules are the same for every script; what sse.state keeps changes while the script runs.
local function is_shared(value)
  for _, state in pairs(debug.getregistry()["sse.states"] or {}) do
    if state == value then
      return true
    end
  end
  for _, module in pairs(package.loaded) do
    if module == value then
      return true
    end
  end
  return value == _G
end

local function of_table(value, seen, parts)
  local keys = {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  for _, key in ipairs(keys) do
    if type(key) == "string" or type(key) == "number" then
      parts[#parts + 1] = tostring(key)
      describe(value[key], seen, parts)
    end
  end
end

local sources = {} -- lines by file, while the script is loaded

local function lines_of(path)
  local lines = sources[path]
  if not lines then
    local file = io.open(path)
    lines = {}
    for line in file and file:lines() or function() end do
      lines[#lines + 1] = line:match "^%s*(.-)%s*$"
    end
    if file then
      file:close()
    end
    sources[path] = lines
  end
  return lines
end

--- The function's own text, so that it may move in its file. Bytecode would know the line. The library is the same for
--- every script.
local function code_of(value)
  local info = debug.getinfo(value, "S")
  if info.source:sub(1, 1) == "@" then
    return table.concat(lines_of(info.source:sub(2)), "\n", math.max(info.linedefined, 1), info.lastlinedefined)
  elseif info.source:sub(1, 5) == "=sse/" or info.what == "C" then
    return info.source .. info.linedefined
  end
  return string.dump(value, true)
end

local function of_function(value, seen, parts)
  parts[#parts + 1] = code_of(value)
  for index = 1, 255 do
    local name, upvalue = debug.getupvalue(value, index)
    if not name then
      break
    end
    describe(upvalue, seen, parts)
  end
end

--- Adds a description of the value. Shared tables are left out: a module's functions count where they are upvalues.
function describe(value, seen, parts)
  local kind = type(value)
  if kind == "string" or kind == "number" or kind == "boolean" then
    parts[#parts + 1] = kind .. tostring(value)
  elseif kind == "userdata" then
    local meta = getmetatable(value)
    parts[#parts + 1] = meta and meta.__name == "sse.channel" and value.name or kind
  elseif (kind == "table" or kind == "function") and not seen[value] and not is_shared(value) then
    seen[value] = true
    if kind == "table" then
      of_table(value, seen, parts)
    else
      of_function(value, seen, parts)
    end
  end
end

---@param guards function[]
---@param handler function
---@return string
function M.of(guards, handler)
  local parts, seen = {}, {}
  for _, guard in ipairs(guards) do
    describe(guard, seen, parts)
    parts[#parts + 1] = "|"
  end
  describe(handler, seen, parts)
  return table.concat(parts, "\0")
end

return M

-- Makes the reference table of README.md from types/sse.lua: lua5.4 types/reference.lua, which ./dev reference does.

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

--- The functions of the annotation file in order: { section =, name =, arguments =, text = }.
local function entries(source)
  local list, section, comment = {}, nil, {}
  for line in source:gmatch "[^\n]*" do
    local title = line:match "^%-%- (.-) %-%-%-+$"
    local name, arguments = line:match "^function ([%w_.:]+)(%b())"
    if title then
      section = title
    elseif line:match "^%-%-%- " then
      comment[#comment + 1] = line:sub(5)
    elseif name then
      list[#list + 1] = { section = section, name = name, arguments = arguments, text = table.concat(comment, " ") }
    end
    if not line:match "^%-%-%-" then
      comment = {}
    end
  end
  return list
end

local function table_of(list)
  local lines, section = {}, nil
  for _, entry in ipairs(list) do
    if entry.section and entry.section ~= section then
      section = entry.section
      lines[#lines + 1] = ("\n**%s**\n\n| call | effect |\n|---|---|"):format(section)
    end
    if entry.section and entry.text ~= "" then
      lines[#lines + 1] = ("| `%s%s` | %s |"):format(entry.name, entry.arguments, entry.text:gsub("|", "\\|"))
    end
  end
  return table.concat(lines, "\n")
end

local readme = read "README.md"
local before, after = readme:match "^(.*<!%-%- reference: begin %-%->).*(<!%-%- reference: end %-%->.*)$"
local made = before .. "\n" .. table_of(entries(read "types/sse.lua")) .. "\n\n" .. after
if arg[1] == "--check" then
  os.exit(made == readme)
end
local file = assert(io.open("README.md", "w"))
file:write(made)
file:close()

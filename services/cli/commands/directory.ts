import { directoryService } from '../../directory/main.js'
import { serviceCommand } from '../service_command.js'

export const directory = serviceCommand(directoryService)
